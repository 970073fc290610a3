"""Several processes give what one gives, and go on exactly."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from omnitrain.runs import read_records

SUPPORT = Path(__file__).parent / "support"
SETTINGS = ["train.model.dropout=0", "train.fit.batch_size=10", "train.fit.steps=40"]


def run_on(processes: int, out: Path, cache: Path, *more: str) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(SUPPORT),
        "OMNITRAIN_CACHE": str(cache),
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    command = [sys.executable, *launcher, "-m", "omnitrain", "run", "toy/tiny", *SETTINGS, *more, "--out", str(out), "--quiet"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    root = tmp_path_factory.mktemp("processes")
    for count in (1, 2):
        run_on(count, root / str(count), root / "cache")
    return {1: root / "1", 2: root / "2"}


def test_two_processes_give_the_losses_of_one(runs: dict[int, Path]) -> None:
    alone, shared = (read_records(runs[n] / "metrics.jsonl", "train") for n in (1, 2))
    assert [row["step"] for row in alone] == [row["step"] for row in shared]
    for one, two in zip(alone, shared, strict=True):
        for key in ("loss", "plain", "mean_error"):
            if key in one:
                assert two[key] == pytest.approx(one[key], rel=2e-4)


def test_two_processes_resume_to_the_same_metrics(runs: dict[int, Path], tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(runs[2], copy)
    expected = (copy / "metrics.jsonl").read_bytes()
    stage = json.loads((copy / "train" / "stage.json").read_text())
    (copy / "train" / "stage.json").write_text(json.dumps({**stage, "status": "running", "artifacts": {}}))
    shutil.rmtree(copy / "measure")
    lines = [line for line in expected.decode().splitlines(keepends=True) if json.loads(line)["stage"] == "train"]
    (copy / "metrics.jsonl").write_text("".join(lines))
    run_on(2, copy, tmp_path / "cache")
    assert any(json.loads(line)["event"] == "resumed" for line in (copy / "events.jsonl").read_text().splitlines())
    assert (copy / "metrics.jsonl").read_bytes() == expected
