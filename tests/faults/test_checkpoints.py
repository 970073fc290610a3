"""UL2's tiny recipe under faults: killed at random moments and inside saves, damaged checkpoints, NaN, packed rows."""

import hashlib
import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
from conftest import Command

RECIPE = ("ul2/tiny", "pretrain.fit.steps=60", "pretrain.fit.checkpoint_every=5", "pretrain.fit.evaluate_every=20")
PACKED = ("pretrain.data.pack=true", "pretrain.fit.accumulate=3")
# Kills this process at the n-th call of a function that saving a checkpoint goes through.
KILL_IN_SAVE = """
import os, signal
import omnitrain.engine.checkpoints as checkpoints
original, calls = getattr(checkpoints, NAME), 0
def counted(*arguments, **options):
    global calls
    calls += 1
    if calls == WANTED:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments, **options)
setattr(checkpoints, NAME, counted)
"""


def state(run: Path) -> dict[str, str]:
    """Digests of everything that a resumed run must have in common with an uninterrupted one."""
    files = [run / "metrics.jsonl", *sorted(run.glob("*/model/*.safetensors"))]
    assert len(files) > 2
    return {str(file.relative_to(run)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def kill_when(omnitrain: Command, arguments: list[str], ready: Path, delay_s: float) -> int:
    """Start a command, wait for a file to appear and some time more, kill it with SIGKILL; return its exit code."""
    child = omnitrain.start(*arguments)
    while not ready.exists() and child.poll() is None:
        time.sleep(0.01)
    time.sleep(delay_s)
    child.send_signal(signal.SIGKILL)
    return child.wait()


@pytest.fixture(scope="module", params=[(), PACKED], ids=["plain", "packed, accumulated"])
def whole(request: pytest.FixtureRequest, omnitrain: Command) -> tuple[tuple[str, ...], Path]:
    """The settings and folder of an uninterrupted run."""
    recipe = (*RECIPE, *request.param)
    out = omnitrain.folder / f"whole-{len(request.param)}"
    omnitrain("run", *recipe, "--out", out, "--quiet")
    return recipe, out


def test_killed_at_random_moments_ends_with_the_same_bits(whole: tuple[tuple[str, ...], Path], omnitrain: Command) -> None:
    recipe, expected = whole
    out = omnitrain.folder / f"{expected.name}-killed"
    arguments = ["run", *recipe, "--out", str(out), "--quiet"]
    moments = random.Random(7)
    killed = 0
    for ready in ("pretrain/stage.json", "pretrain/checkpoints/step-00000005", "pretrain/stage.json"):
        delay = moments.uniform(0.0, 0.6)
        killed += kill_when(omnitrain, arguments, out / ready, delay) == -signal.SIGKILL
    assert killed == 3
    omnitrain(*arguments)
    assert state(out) == state(expected)


@pytest.mark.parametrize(("function", "call"), [("save_file", 4), ("sync_folder", 3)])
def test_killed_inside_a_save_goes_on_from_the_one_before(function: str, call: int, omnitrain: Command) -> None:
    expected = omnitrain.folder / "whole-0"
    if not expected.exists():
        omnitrain("run", *RECIPE, "--out", expected, "--quiet")
    out = omnitrain.folder / f"killed-{function}"
    arguments = ["run", *RECIPE, "--out", str(out), "--quiet"]
    done = omnitrain.start(*arguments, prelude=f"NAME, WANTED = {function!r}, {call}\n{KILL_IN_SAVE}").finish()
    assert done.returncode == -signal.SIGKILL, done.stderr
    omnitrain(*arguments)
    assert state(out) == state(expected)


def test_damaged_newest_checkpoint_is_named_and_the_one_before_used(omnitrain: Command) -> None:
    expected = omnitrain.folder / "whole-0"
    out = omnitrain.folder / "damaged"
    arguments = ["run", *RECIPE, "--out", str(out)]
    assert kill_when(omnitrain, arguments, out / "pretrain/checkpoints/step-00000015", 0.2) < 0
    newest = sorted((out / "pretrain/checkpoints").glob("step-*"))[-1]
    file = newest / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    done = omnitrain(*arguments)
    assert f"Checkpoint {newest.name} can't be used" in done.stderr
    assert "model.safetensors is damaged" in done.stderr
    assert state(out) == state(expected)


def test_nan_ends_with_its_own_exit_code_and_a_good_checkpoint(omnitrain: Command) -> None:
    out = omnitrain.folder / "nan"
    settings = ("pretrain.fit.learning_rate=1e30", "pretrain.fit.clip_norm=null", "pretrain.fit.skip_nonfinite=3")
    done = omnitrain("run", *RECIPE, *settings, "--out", out, "--quiet", code=7)
    assert "NaN or infinite" in done.stderr
    skipped = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines() if "skipped" in line]
    assert skipped
    assert all(event["examples"] for event in skipped)
    losses = [json.loads(line).get("loss") for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert all(isinstance(loss, float) for loss in losses if loss is not None)


def test_second_process_on_the_same_run_is_refused(omnitrain: Command) -> None:
    out = omnitrain.folder / "shared"
    arguments = ["run", *RECIPE, "--out", str(out), "--quiet"]
    first = omnitrain.start(*arguments)
    try:
        while not (out / "pretrain/stage.json").exists() and first.poll() is None:
            time.sleep(0.01)
        assert "is in use by process" in omnitrain(*arguments, code=5).stderr
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert os.path.exists(out / "run.json")
