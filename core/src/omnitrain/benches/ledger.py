"""What it costs to keep a finished item, beside a file for each."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from omnitrain.api.bench import Bar, Bench
from omnitrain.benches.language_model import scratch
from omnitrain.runs import Ledger
from omnitrain.runs.files import write_whole

ITEMS, FILES = 20_000, 200
VALUE = {"answer": "forty-two words of an answer " * 4, "score": 0.5}


def _timed(count: int, keep: Callable[[int], None]) -> float:
    started = time.perf_counter()
    for number in range(count):
        keep(number)
    return (time.perf_counter() - started) / count * 1e6


def ledger_bench() -> Bench:
    """Wall time per item of about 150 bytes."""

    def ledger() -> float:
        with Ledger(scratch() / "items") as kept:
            return _timed(ITEMS, lambda number: kept.add(f"item-{number}", VALUE))

    def again() -> float:
        folder = scratch() / "items"
        with Ledger(folder) as kept:
            for number in range(ITEMS):
                kept.add(f"item-{number}", VALUE)
        started = time.perf_counter()
        with Ledger(folder):
            return (time.perf_counter() - started) / ITEMS * 1e6

    def safe_files() -> float:
        folder = scratch()
        return _timed(FILES, lambda number: write_whole(folder / f"{number}.json", json.dumps(VALUE)))

    def files() -> float:
        folder = scratch()
        return _timed(FILES, lambda number: _write(folder / f"{number}.json"))

    def _write(path: Path) -> None:
        temporary = path.with_suffix(".part")
        temporary.write_text(json.dumps(VALUE), encoding="utf-8")
        temporary.replace(path)

    return Bench(
        name="finished items of a long job",
        summary="Wall time to keep an item of 150 bytes; the ledger forces them to disk in batches.",
        unit="us an item",
        ours="ledger",
        variants={
            "ledger": ledger,
            "ledger, opened again": again,
            "a file each, forced to disk": safe_files,
            "a file each, lost with the power": files,
        },
        bars=(Bar("a file each, forced to disk", 10.0),),
    )
