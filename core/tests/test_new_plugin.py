"""The plugin that `omnitrain new-plugin` writes is whole, for every kind."""

import json
import os
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest
from children import context
from hypothesis import given
from hypothesis import strategies as st
from scaffolded import installed_from, use

from omnitrain.api.descriptors import KINDS
from omnitrain.cli import run
from omnitrain.cli.scaffolding import EDITED, check_name, write_plugin
from omnitrain.errors import UsageError

TIME_LIMIT_S = 120


def _use(package: Path, name: str, commands: Sequence[Sequence[str]]) -> tuple[list[int], str]:
    """Run commands with the plugin installed; return exit codes and all that was printed."""
    told = package / "codes.json"
    environment = {"OMNITRAIN_CACHE": os.environ["OMNITRAIN_CACHE"]}
    arguments = (installed_from(package, name), str(package), [list(c) for c in commands], str(told), environment)
    process = context().Process(target=use, args=arguments)
    process.start()
    process.join(TIME_LIMIT_S)
    said = (package / "said.txt").read_text(errors="replace")
    if process.exitcode is None:
        process.kill()
        raise AssertionError(f"the child took longer than {TIME_LIMIT_S} s: {said}")
    return json.loads(told.read_text()) if told.exists() else [], said


# The contract kit is a package of its own; where everything is installed it checks these plugins too.
TESTS = ["pytest", "tests", "-q", "-p", "no:cacheprovider", "--ignore", "tests/test_contract.py"]


@pytest.mark.parametrize("kind", KINDS)
def test_plugin_of_every_kind_is_healthy_runs_and_passes_its_tests(kind: str, tmp_path: Path) -> None:
    name = f"new-{kind}"
    assert run(["new-plugin", name, "--kind", kind, "--dir", str(tmp_path / name)]) == 0
    commands = [["plugins"], ["parity", name], ["run", f"{name}/paper", "--dry-run"], ["run", f"{name}/tiny", "--out", "out"]]
    codes, said = _use(tmp_path / name, name, [*commands, TESTS])
    assert codes == [0, 0, 0, 0, 0], said
    assert re.search(rf"^{name} +omnitrain-{name} +0.1.0 +1.0 +ok", said, re.MULTILINE)
    assert f"{name}/error/mean_error" in said


def test_claim_of_the_written_plugin_is_reproduced_and_put_into_its_readme(tmp_path: Path) -> None:
    package = tmp_path / "fresh"
    write_plugin("fresh", "objective", package)
    commands = [
        ["reproduce", "fresh", "--seeds", "1", "--write-readme", "--quiet"],
        ["reproduce", "fresh", "--check-readme"],
        ["bench", "fresh", "--rounds", "1", "--write-readme"],
    ]
    codes, said = _use(package, "fresh", commands)
    assert codes == [0, 0, 0], said
    assert "one seed has no interval" in (package / "README.md").read_text()
    assert json.loads((package / "results" / "bench.json").read_text())["benches"][0]["ours"] == "fresh"


def test_file_to_begin_with_says_so_and_only_that_one(tmp_path: Path) -> None:
    for kind in KINDS:
        package = tmp_path / kind
        write_plugin("sums", kind, package)
        marked = [path.name for path in package.rglob("*.py") if "Begin here" in path.read_text()]
        assert marked == [EDITED[kind]]
        assert (package / "src/omnitrain_sums/stages.py").exists() == (kind == "stage")


def test_hyphens_of_a_name_are_underscores_of_its_package(tmp_path: Path) -> None:
    write_plugin("my-paper", "data", tmp_path / "p")
    project = tomllib.loads((tmp_path / "p/pyproject.toml").read_text())["project"]
    assert project["name"] == "omnitrain-my-paper"
    assert project["entry-points"]["omnitrain.plugins"] == {"my-paper": "omnitrain_my_paper.plugin"}
    assert (tmp_path / "p/src/omnitrain_my_paper/py.typed").exists()
    assert (tmp_path / "p/.gitignore").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("My_Paper", "Try 'my-paper'"),
        ("2fast", "Try 'fast'"),
        ("../evil", "Try 'evil'"),
        ("a--b", "Try 'a-b'"),
        ("", "is no name"),
        ("x" * 41, "is no name"),
        ("core", "is reserved"),
        ("toy", "is installed already (omnitrain-toy)"),
        ("omnitrain-sums", "leave out 'omnitrain'"),
    ],
)
def test_wrong_name_is_refused_with_advice(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["new-plugin", name]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@given(st.text(max_size=50))
def test_every_name_is_accepted_as_a_safe_word_or_refused(name: str) -> None:
    try:
        check_name(name, {})
    except UsageError:
        return
    assert re.fullmatch(r"[a-z][a-z0-9-]*[a-z0-9]|[a-z]", name, re.ASCII)


def test_folder_that_holds_something_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert run(["new-plugin", "sums", "--dir", str(tmp_path)]) == 2
    assert "not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_place_that_can_not_be_written_is_a_fault_of_the_environment(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["new-plugin", "sums", "--dir", "/proc/nowhere/sums"]) == 5
    assert "choose another --dir" in capsys.readouterr().err
