"""Faults at counted moments of a run: what its process executes first, and what a run leaves that must not depend on faults."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conftest import Command

SEED = int(os.environ.get("OMNITRAIN_FAULT_SEED", "0"))
"""Other moments are drawn with another OMNITRAIN_FAULT_SEED."""

# Numbers every call by which something becomes durable, and does what `strike` says at number AT, before or after the call.
COUNTED = """
import errno, os
PROCESS, made = os.getpid(), 0
COUNTS = os.open(COUNT_FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
def counted(original):
    def call(*arguments, **options):
        global made
        if os.getpid() != PROCESS:
            return original(*arguments, **options)
        made += 1
        now = made
        os.write(COUNTS, b".")
        if now == AT and not BEHIND:
            strike()
        result = original(*arguments, **options)
        if now == AT and BEHIND:
            strike()
        return result
    return call
for name in ("replace", "rename", "fsync"):
    setattr(os, name, counted(getattr(os, name)))
"""
SIGNAL = "import os\ndef strike():\n    os.kill(os.getpid(), {number})\n"
FULL_DISK = "import errno, os\ndef strike():\n    raise OSError(errno.{name}, os.strerror(errno.{name}), 'the disk')\n"

# What says when and how fast something happened, and what only a stopped run has.
PASSING = ("timing.jsonl", "events.jsonl", "run.log", "report.html", "run.json", "stage.json", "recipe.lock.yaml")
SUMMARY = "summary.json"


def prelude(folder: Path, strike: str = "def strike():\n    pass\n", at: int = 0, behind: bool = False) -> str:
    """Return what a process executes first, so that `strike` happens at durable call number `at` (0: never)."""
    names = f"COUNT_FILE, AT, BEHIND = {str(folder / 'durable-calls')!r}, {at}, {behind}\n"
    return names + strike + COUNTED


def durable_calls(folder: Path) -> int:
    """Return how many durable calls the last process with this folder made."""
    return (folder / "durable-calls").stat().st_size


def products(run: Path) -> dict[str, str]:
    """Digests of everything that a run leaves and that must be the same however often it was interrupted."""
    found = {str(file.relative_to(run)): hashlib.sha256(_content(file)).hexdigest()[:16] for file in _files(run)}
    assert "metrics.jsonl" in found
    return found


def _files(run: Path) -> Iterator[Path]:
    for file in sorted(run.rglob("*")):
        relative = file.relative_to(run)
        hidden = any(part.startswith(".") or part in ("checkpoints", "tensorboard", "ledger") for part in relative.parts)
        if file.is_file() and not hidden and file.name not in PASSING:
            yield file


def _content(file: Path) -> bytes:
    content = file.read_bytes()
    if file.suffix not in (".json", ".jsonl"):
        return content
    try:
        # A file of one value is one line here, too.
        lines = content.splitlines() if file.suffix == ".jsonl" else [content]
        values = [_without_times(json.loads(line)) for line in lines]
        if file.name == SUMMARY:
            # Its basis is sizes and times of the other files.
            values = [{**kept["summary"], "created": ""} for kept in values]
        return json.dumps(values, sort_keys=True).encode()
    except ValueError:
        return content


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(held) for key, held in value.items() if "second" not in key and key != "crc"}
    return [_without_times(held) for held in value] if isinstance(value, list) else value


def leftovers(run: Path) -> list[str]:
    """Temporary files that nobody will remove any more."""
    return [str(file.relative_to(run)) for file in run.rglob(".tmp-*")]


def fresh(omnitrain: Command, folder: Path) -> Command:
    """The command with a cache of its own, so that the preparation of data is part of what is interrupted."""
    folder.mkdir()
    return Command(folder, **{**omnitrain.environment, "OMNITRAIN_CACHE": str(folder / "cache")})
