"""A disk that is full, fails or becomes read-only at any moment: one sentence, nothing half-written, then the same products."""

import random
import re
from pathlib import Path

import pytest
from campaign import FULL_DISK, SEED, durable_calls, fresh, leftovers, prelude, products
from conftest import Command

ARGUMENTS = ("run", "control/tiny", "--out", "run", "--quiet")
ENVIRONMENT = 5
ATTEMPTS = 6
MOST_ATTEMPTS = 30
"""Moments are drawn up to here where no fault has ended a run yet."""


@pytest.fixture(scope="module")
def whole(omnitrain: Command, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """The run that met no fault, and how many durable calls it made."""
    command = fresh(omnitrain, tmp_path_factory.mktemp("disks") / "whole")
    done = command.start(*ARGUMENTS, prelude=prelude(command.folder)).finish()
    assert done.returncode == 0, done.stderr
    return command.folder / "run", durable_calls(command.folder)


@pytest.mark.parametrize("fault", ["ENOSPC", "EROFS", "EIO", "EDQUOT"])
def test_disk_fault_at_any_moment_is_one_sentence_and_loses_nothing(
    fault: str, whole: tuple[Path, int], omnitrain: Command, tmp_path: Path
) -> None:
    expected, calls = whole
    command, struck = fresh(omnitrain, tmp_path / "broken"), 0
    draws = random.Random(f"{SEED} {fault}")
    for attempt in range(MOST_ATTEMPTS):
        if attempt >= ATTEMPTS and struck:
            break
        strike = prelude(command.folder, FULL_DISK.format(name=fault), draws.randint(1, calls // 2))
        done = command.start(*ARGUMENTS, prelude=strike).finish()
        assert done.returncode in (0, ENVIRONMENT), done.stderr
        assert "Traceback" not in done.stderr
        if done.returncode == ENVIRONMENT:
            struck += 1
            assert done.stderr.count("error:") == 1, done.stderr
            assert "bug" not in done.stderr
            assert not leftovers(command.folder)
        else:  # a fault that a run bears, as in a checkpoint that it writes again; in a finished run none would strike
            if "the report could not be written" in done.stderr:
                command("report", "run")  # what the note advises
            assert products(command.folder / "run") == products(expected)
            command = fresh(omnitrain, tmp_path / f"broken-{attempt}")
    assert struck
    command(*ARGUMENTS)
    assert products(command.folder / "run") == products(expected)


def test_clock_that_goes_back_changes_nothing(whole: tuple[Path, int], omnitrain: Command, tmp_path: Path) -> None:
    expected, _ = whole
    command = fresh(omnitrain, tmp_path / "clock")
    backwards = "import time\nstart, looks = time.time(), 0\ndef back():\n    global looks\n    looks += 1\n"
    backwards += "    return start - 3600.0 * looks\ntime.time = back\n"
    done = command.start(*ARGUMENTS, prelude=backwards).finish()
    assert done.returncode == 0, done.stderr
    assert products(command.folder / "run") == products(expected)


def test_run_folder_that_vanishes_is_told(omnitrain: Command, tmp_path: Path) -> None:
    command = fresh(omnitrain, tmp_path / "gone")
    strike = "import shutil\ndef strike():\n    shutil.rmtree('run', ignore_errors=True)\n"
    done = command.start(*ARGUMENTS, prelude=prelude(command.folder, strike, at=30)).finish()
    assert done.returncode == ENVIRONMENT, done.stderr
    assert "bug" not in done.stderr
    assert done.stderr.count("error:") == 1, done.stderr
    assert re.search(r"error: .*\brun\b\S* was removed while", done.stderr), done.stderr
