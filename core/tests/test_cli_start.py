"""The command line starts light and names every command."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from omnitrain.api.references import load_reference
from omnitrain.cli import run
from omnitrain.cli.table import COMMANDS

HEAVY = ("torch", "numpy", "transformers", "pydantic", "rich")


def _loaded_by(*arguments: str) -> list[str]:
    script = (
        "import sys; from omnitrain.cli import run; code = run(sys.argv[1:]); "
        f"import json; print(json.dumps([m for m in {HEAVY} if m in sys.modules]), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    return json.loads(done.stderr.strip().splitlines()[-1])


@pytest.mark.parametrize("arguments", [("--help",), ("plugins",), ("plugins", "--json"), ("recipes",), ("--version",)])
def test_light_commands_load_no_heavy_library(arguments: tuple[str, ...]) -> None:
    assert _loaded_by(*arguments) == []


def test_help_names_every_command_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)
    codes = out.partition("Exit codes:")[2].split()
    assert {"0", "1", "2", "3", "4", "5", "6", "7", "75", "130"} <= set(codes)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert "Example" in out
    assert f"omnitrain {name}" in out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_reference_of_the_table_leads_to_the_command_of_that_name(name: str) -> None:
    assert load_reference(COMMANDS[name][1]).name == name


def test_python_m_omnitrain_is_the_command(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "omnitrain", "plugins", "--json"], capture_output=True, text=True, check=True)
    entry = next(e for e in json.loads(done.stdout) if e["name"] == "core")
    assert list(entry) == ["name", "distribution", "version", "api", "status", "reason", "components", "recipes"]
    assert {"address": "core/fit", "kind": "stage"}.items() <= entry["components"][0].items()


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_prints_the_script_of_a_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    assert "_OMNITRAIN_COMPLETE" in capsys.readouterr().out


def test_shell_completes_recipes() -> None:
    environment = {**os.environ, "_OMNITRAIN_COMPLETE": "zsh_complete", "COMP_WORDS": "omnitrain run toy/t", "COMP_CWORD": "2"}
    done = subprocess.run([sys.executable, "-m", "omnitrain"], env=environment, capture_output=True, text=True, check=False)
    assert "toy/tiny" in done.stdout
