"""Every error ends as one message and a documented exit code."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from omnitrain import errors
from omnitrain.cli import group, run


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Make the command `plugins` raise."""

    def fail_with(error: BaseException) -> None:
        @click.command("plugins")
        def command() -> None:
            raise error

        monkeypatch.setattr(group, "load_reference", lambda reference: command)

    return fail_with


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError("wrong key"), 2),
        (errors.PluginError("not there"), 3),
        (errors.DataError("empty"), 4),
        (errors.EnvironmentFault("full"), 5),
        (errors.EvidenceError("differs"), 6),
        (errors.NumericalError("nan"), 7),
    ],
)
def test_fault_is_a_message_without_traceback(
    error: errors.OmnitrainError, code: int, failing: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    failing(error)
    assert run(["plugins"]) == code
    assert capsys.readouterr().err == f"error: {error}\n"


def test_stop_is_no_error_but_has_its_exit_code(
    failing: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    failing(errors.Stopped("Stopped on request (SIGTERM)."))
    assert run(["plugins"]) == 75
    assert capsys.readouterr().err == "Stopped on request (SIGTERM).\n"


@pytest.mark.parametrize("arguments", [["--traceback", "plugins"], ["plugins", "--traceback"]])
def test_traceback_is_shown_where_it_is_asked_for(
    arguments: list[str], failing: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    failing(errors.UsageError("wrong key"))
    assert run(arguments) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.endswith("error: wrong key\n")


def test_bug_says_that_it_is_one(failing: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]) -> None:
    failing(ZeroDivisionError("division\nby zero"))
    assert run(["plugins"]) == 1
    err = capsys.readouterr().err
    assert "this is a bug" in err
    assert "ZeroDivisionError: division by zero" in err
    assert "--traceback" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.ENOSPC, "No space left on device", "/x/y")])
def test_used_up_machine_is_an_environment_fault(error: Exception, failing: Callable[[BaseException], None]) -> None:
    failing(error)
    assert run(["plugins"]) == 5


def test_interrupt_has_the_shells_exit_code(failing: Callable[[BaseException], None]) -> None:
    failing(KeyboardInterrupt())
    assert run(["plugins"]) == 130


@pytest.mark.parametrize("name", ["new-plugin", "check"])
def test_command_for_authors_says_what_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(group, "plugin_commands", dict)
    assert run([name, "sums"]) == 2
    assert f"'{name}' comes with omnitrain-testing. Install it with 'pip install omnitrain-testing'." in capsys.readouterr().err


def test_misspelt_command_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plugin"]) == 2
    assert "Did you mean 'plugins'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["plugins", "--jsn"], ["run"], ["run", "toy/tiny", "--time-limit", "0"], ["completion", "tcsh"]]
)
def test_wrong_usage_points_to_the_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert f"See 'omnitrain {arguments[0]} --help'." in err


def test_no_command_prints_the_help_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    assert "Commands:" in capsys.readouterr().err


def test_closed_pipe_is_quiet() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "omnitrain", "info", "core/fit"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("arguments", [["run", "toy/tiny", "--out"], ["report"], ["runs"]])
def test_path_that_is_too_long_is_said_in_one_sentence(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run([*arguments, "x" * 300]) in (2, 5)
    err = capsys.readouterr().err
    assert "too long" in err
    assert "bug" not in err


def test_file_that_goes_away_is_an_environment_fault(
    failing: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    failing(FileNotFoundError(errno.ENOENT, "No such file or directory", "runs/a/events"))
    assert run(["plugins"]) == 5
    assert capsys.readouterr().err == "error: runs/a/events: No such file or directory.\n"


@pytest.mark.parametrize(
    ("target", "code", "said"),
    [
        ("mine", 2, "There is no recipe 'mine'; for the file of that name write 'omnitrain run mine.yaml'."),
        ("runs/lroa", 2, "runs/lroa is not there; expected a run directory or a YAML file. Did you mean 'runs/lora'?"),
        ("./runs/lroa", 2, "Did you mean 'runs/lora'?"),
        ("./nowhere/x", 2, "nowhere holds no runs and no recipes."),
        ("tpy/tiny", 3, "No plugin named 'tpy' is installed. Did you mean 'toy'?"),
    ],
)
def test_target_that_is_not_there_is_answered_by_what_is(
    target: str, code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").touch()
    (tmp_path / "runs/lora").mkdir(parents=True)
    (tmp_path / "runs/lora/recipe.lock.yaml").touch()
    assert run(["run", target]) == code
    err = capsys.readouterr().err
    assert said in err
    assert "pip install" not in err


def test_advice_of_a_library_that_names_no_setting_of_ours_is_left_out() -> None:
    said = errors.said_by(ValueError("The repository contains custom code.\nPlease pass `trust_remote_code=True` to allow it."))
    assert "trust_remote_code" not in said
    assert "code of its own, which is never run" in said
    assert errors.said_by(ValueError("no\nfile")) == "no file"
