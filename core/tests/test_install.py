"""Installing and removing plugins; the installer itself is played by small programs."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omnitrain.cli import installing, run
from omnitrain.cli.installing import call, installer, removable, requirement
from omnitrain.errors import EnvironmentFault, UsageError


@pytest.mark.parametrize(
    ("spec", "asked"),
    [
        ("ul2", "omnitrain-ul2"),
        ("ul2>=1.0,<2", "omnitrain-ul2>=1.0,<2"),
        ("ul2[test]", "omnitrain-ul2[test]"),
        ("my_paper", "omnitrain-my_paper"),
        ("omnitrain-ul2", "omnitrain-ul2"),
        ("Omnitrain_ul2==1.0", "Omnitrain_ul2==1.0"),
        ("git+https://example.org/a.git", "git+https://example.org/a.git"),
        ("omnitrain-ul2 @ https://example.org/a.whl", "omnitrain-ul2 @ https://example.org/a.whl"),
    ],
)
def test_name_stands_for_its_distribution(spec: str, asked: str) -> None:
    assert requirement(spec) == asked


def test_paths_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sums").mkdir()
    (tmp_path / "a-1.0-py3-none-any.whl").touch()
    for spec in ("./sums", "./sums[test]", str(tmp_path / "sums"), ".", "a-1.0-py3-none-any.whl"):
        assert requirement(spec) == spec
    assert requirement("sums") == "omnitrain-sums"


@pytest.mark.parametrize("spec", ["./absent", "absent-1.0-py3-none-any.whl", "--target=x", "-r", "a b", ""])
def test_what_is_no_plugin_is_refused(spec: str) -> None:
    with pytest.raises(UsageError):
        requirement(spec)


def test_uv_is_used_where_the_environment_has_no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installing, "find_spec", lambda name: object())
    assert installer()[0][:4] == [sys.executable, "-m", "pip", "install"]
    monkeypatch.setattr(installing, "find_spec", lambda name: None)
    monkeypatch.setattr(installing.shutil, "which", lambda name: f"/bin/{name}")
    assert installer()[0] == ["/bin/uv", "pip", "install", "--python", sys.executable]
    monkeypatch.setattr(installing.shutil, "which", lambda name: None)
    with pytest.raises(EnvironmentFault, match="no pip, and there is no uv"):
        installer()


def test_installer_that_fails_is_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-c", "for i in range(40): print('line', i)\nraise SystemExit(1)"]
    with pytest.raises(EnvironmentFault, match="Installing failed") as caught:
        call(command, "Installing", quiet=True)
    assert str(caught.value).endswith("line 39")
    assert "line 28" in str(caught.value)
    assert "line 27" not in str(caught.value)
    assert capsys.readouterr().err == ""
    with pytest.raises(EnvironmentFault):
        call(command, "Installing", quiet=False)
    assert "line 0" in capsys.readouterr().err


Played = Callable[..., list[list[str]]]


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    """Let installers only be recorded, and discovery give these states before and after."""

    def play(*states: dict[str, dict[str, Any]]) -> list[list[str]]:
        commands: list[list[str]] = []
        given = iter(states)
        monkeypatch.setattr(installing, "call", lambda command, what, quiet: commands.append(list(command)))
        monkeypatch.setattr(installing, "discover_afresh", lambda: next(given))
        monkeypatch.setattr(installing, "find_spec", lambda name: object())
        return commands

    return play


def _state(name: str, **more: Any) -> dict[str, dict[str, Any]]:
    entry = {"name": name, "distribution": f"omnitrain-{name}", "version": "1.0", "status": "ok", "reason": ""}
    offered = {"components": [], "recipes": [{"address": f"{name}/tiny", "summary": "Seconds."}]}
    return {f"omnitrain-{name}/{name}": {**entry, **offered, **more}}


def test_install_shows_what_became_available(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    commands = played(_state("core"), {**_state("core"), **_state("sums")})
    assert run(["install", "sums"]) == 0
    assert commands[0][-1] == "omnitrain-sums"
    out = capsys.readouterr().out
    assert "sums/tiny" in out
    assert "core/tiny" not in out


def test_folder_is_installed_editable_on_request(played: Played, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = played({}, _state("sums"))
    assert run(["install", "-e", str(tmp_path), "--json"]) == 0
    assert commands[0][-2:] == ["--editable", str(tmp_path)]
    assert [entry["name"] for entry in json.loads(capsys.readouterr().out)["installed"]] == ["sums"]


def test_plugin_that_is_broken_after_its_installation_ends_with_3(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    played({}, _state("sums", status="broken", reason="ImportError: no module"))
    assert run(["install", "sums"]) == 3
    assert "is installed but broken: ImportError: no module." in capsys.readouterr().err


def test_fresh_process_finds_the_installed_plugins() -> None:
    assert installing.discover_afresh()["omnitrain-toy/toy"]["status"] == "ok"


def test_plugin_is_removed_by_either_name(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("toy", "omnitrain-toy", "omnitrain_toy"):
        assert removable([name]) == ["omnitrain-toy"]
    commands = played({**_state("core"), **_state("toy")}, _state("core"))
    assert run(["uninstall", "toy"]) == 0
    assert commands[0][-1] == "omnitrain-toy"
    assert "removed: toy" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "said"), [("core", "what runs this command"), ("tyo", "Did you mean 'toy'"), ("pip", "Nothing")]
)
def test_core_and_strangers_are_not_removed(name: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["uninstall", name]) == 2
    assert said in capsys.readouterr().err


def test_what_another_plugin_needs_is_not_removed_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "omnitrain_user-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: omnitrain-user\nVersion: 1.0\nRequires-Dist: omnitrain_toy>=0.1\n"
    )
    (info / "entry_points.txt").write_text("[omnitrain.plugins]\nuser = omnitrain_user.plugin\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match="omnitrain-user needs omnitrain-toy"):
        removable(["toy"])
    assert removable(["toy", "user"]) == ["omnitrain-toy", "omnitrain-user"]
