"""The plugin that `omnitrain new-plugin` writes is whole, for every kind."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scaffolded import use_plugin

from omnitrain.api.descriptors import KINDS
from omnitrain.cli import run
from omnitrain.errors import UsageError
from omnitrain_testing.authoring.scaffolding import EDITED, check_name, write_plugin

# `nox -s third_party` checks the contract of such a plugin.
TESTS = ["pytest", "tests", "-q", "-p", "no:cacheprovider", "--ignore", "tests/test_contract.py"]


@pytest.mark.parametrize("kind", ["objective", "stage"])
def test_written_plugin_is_healthy_runs_and_passes_its_tests(kind: str, tmp_path: Path) -> None:
    name = f"new-{kind}"
    assert run(["new-plugin", name, "--kind", kind, "--dir", str(tmp_path / name)]) == 0
    commands = [["plugins"], ["parity", name], ["run", f"{name}/paper", "--dry-run"], ["run", f"{name}/tiny", "--out", "out"]]
    codes, said = use_plugin(tmp_path / name, name, [*commands, TESTS])
    assert codes == [0, 0, 0, 0, 0], said
    assert re.search(rf"^{name} +omnitrain-{name} +0.1.0 +1.1 +ok", said, re.MULTILINE)
    assert f"{name}/error/mean_error" in said


def test_kinds_other_than_stage_differ_in_where_to_begin_only(tmp_path: Path) -> None:
    def written(kind: str) -> dict[str, str]:
        files = write_plugin("sums", kind, tmp_path / kind)
        texts = {str(path.relative_to(tmp_path / kind)): path.read_text() for path in files}
        return {name: re.sub(' Begin here:[^"]*|begin with .*then', "", text) for name, text in texts.items()}

    expected = written("objective")
    for kind in set(KINDS) - {"objective", "stage"}:
        assert written(kind) == expected


def test_claim_of_the_written_plugin_is_reproduced_and_put_into_its_readme(tmp_path: Path) -> None:
    package = tmp_path / "fresh"
    write_plugin("fresh", "objective", package)
    commands = [
        ["reproduce", "fresh", "--seeds", "1", "--beyond", "--write-readme", "--quiet"],
        ["reproduce", "fresh", "--check-readme"],
        ["bench", "fresh", "--rounds", "1", "--write-readme"],
    ]
    codes, said = use_plugin(package, "fresh", commands)
    assert codes == [0, 0, 0], said
    assert "one seed has no interval" in (package / "README.md").read_text()
    assert json.loads((package / "results" / "bench.json").read_text())["benches"][0]["ours"] == "fresh"


def test_file_to_begin_with_says_so_and_only_that_one(tmp_path: Path) -> None:
    for kind in KINDS:
        package = tmp_path / kind
        write_plugin("sums", kind, package)
        source = package / "src/omnitrain_sums"
        marked = [str(path.relative_to(source)) for path in source.rglob("*.py") if "Begin here" in path.read_text()]
        assert marked == [EDITED[kind]]
        assert (source / "stages").exists() == (kind == "stage")


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


def test_name_of_an_installed_plugin_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'mine' is installed already \(omnitrain-other\)"):
        check_name("mine", {"mine": "omnitrain-other"})


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
