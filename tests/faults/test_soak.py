"""Ten thousand updates: memory, open files, threads and the run's own files stay as they are."""

import json
from pathlib import Path

from campaign import fresh
from conftest import Command

UPDATES = 10_000
EVERY = 1000
# Every forced write of a checkpoint of the long stage notes what the process holds.
NOTING = """
import json, os, threading
original = os.fsync
def fsync(descriptor):
    if "clone/checkpoints" not in os.readlink(f"/proc/self/fd/{descriptor}"):
        return original(descriptor)
    with open("/proc/self/status") as status:
        held = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    with open("held.jsonl", "a") as notes:
        notes.write(json.dumps([held, len(os.listdir("/proc/self/fd")), threading.active_count()]) + "\\n")
    return original(descriptor)
os.fsync = fsync
"""


def test_ten_thousand_updates_hold_no_more_than_a_few_thousand(omnitrain: Command, tmp_path: Path) -> None:
    command = fresh(omnitrain, tmp_path / "soak")
    settings = (f"clone.fit.steps={UPDATES}", f"clone.fit.checkpoint_every={EVERY}", "clone.fit.log_every=1000")
    done = command.start("run", "control/tiny", *settings, "--out", "run", "--quiet", prelude=NOTING).finish()
    assert done.returncode == 0, done.stderr
    assert len((command.folder / "run/metrics.jsonl").read_text().splitlines()) < 100
    notes = [json.loads(line) for line in (command.folder / "held.jsonl").read_text().splitlines()]
    saved = notes[len(notes) // 3 :]
    assert len(saved) > 20
    memory, files, threads = (list(column) for column in zip(*saved, strict=True))
    assert memory[-1] < 1.01 * memory[0] + 2048  # KiB; the allocator's own steps
    assert max(files) <= max(files[: len(files) // 2])
    assert max(threads) <= max(threads[: len(threads) // 2])
