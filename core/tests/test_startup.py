"""Starting imports only what is needed: no torch before something is trained, no pydantic for the names of the API."""

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "pydantic", "transformers", "accelerate", "omnitrain_toy.parts", "omnitrain_toy.configs")


def loaded(code):
    """Return the top modules that a fresh interpreter has after running the code."""
    program = f"{code}\nimport sys, json\nsys.stdout.write('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("code", ["import omnitrain.api", "import omnitrain.errors", "import omnitrain.engine"])
def test_api_imports_nothing_heavy(code):
    assert not loaded(code) & set(HEAVY)


def test_discovery_imports_no_plugin():
    modules = loaded("from omnitrain.plugins import discover; assert any(s.name == 'toy' for s in discover())")
    assert not modules & set(HEAVY)
    assert "omnitrain_toy" not in modules


def test_checking_a_recipe_imports_no_torch_and_no_component():
    modules = loaded("from omnitrain.recipes import load_recipe; load_recipe('toy/tiny')")
    assert not modules & {"torch", "transformers", "omnitrain_toy.parts"}
    assert "omnitrain_toy.configs" in modules


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["plugins"], ["recipes"]])
def test_command_line_starts_without_torch(arguments):
    program = "import contextlib\nfrom omnitrain.cli import run\nwith contextlib.suppress(SystemExit):\n    run({!r})"
    modules = loaded(program.format(arguments))
    assert not modules & {"torch", "numpy", "transformers", "omnitrain_toy.parts"}
    assert "omnitrain_toy" not in modules
    if arguments == ["--help"]:
        assert not modules & {"pydantic", "rich", "omnitrain_toy.configs"}
        # Descriptions need none of what evaluators, stages and claims' measures are made of.
        assert not modules & {f"omnitrain.api.{name}" for name in ("figures", "measures", "protocols", "results", "finished")}
