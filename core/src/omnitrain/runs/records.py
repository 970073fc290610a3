"""Append-only json lines that can be cut back to where a checkpoint stood."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Any

from omnitrain.api.shapes import Shape
from omnitrain.api.stored import LINE, Line, damage_of, read_lines, with_numbers
from omnitrain.errors import EnvironmentFault
from omnitrain.masking import mask
from omnitrain.runs.files import REMOVED, write_whole

_STAGE = re.compile(rb'"stage": ?"([^"\\]*)"')


class Records:
    """One .jsonl file of a run, shared by its stages; every line carries its stage.

    A line that is damaged stays where it is and counts as one of its stage, so that cutting back keeps what a checkpoint had.
    """

    def __init__(self, path: Path, writes: bool = True) -> None:
        self.path, self._writes = path, writes
        self._file: FileIO | None = None
        self._counts: dict[str, int] = {}

    def open(self) -> None:
        """Drop a torn end, count the lines of each stage and open for appending.

        Raises EnvironmentFault when the file can't be opened.
        """
        self.close()
        lines = read_lines(self.path)
        content = _joined(lines)
        if self.path.exists() and self.path.stat().st_size != len(content):
            write_whole(self.path, content)
        self._counts = {}
        for stage in _stages(lines):
            self._counts[stage] = self._counts.get(stage, 0) + 1
        try:
            # Without a buffer: after a failed write nothing is left that a later close would try to write again.
            self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 - kept open for the run
        except OSError as error:
            raise EnvironmentFault(f"{self.path} can't be written: {error.strerror}.") from error

    def append(self, stage: str, **values: Any) -> None:
        """Write one line; numbers that are not finite are written as text so that every reader can parse it.

        Raises EnvironmentFault when the disk is full.
        """
        if not self._writes:
            return
        if self._file is None:
            self.open()
        line = json.dumps({"stage": stage, **values}, default=str, allow_nan=True)
        if "NaN" in line or "Infinity" in line:
            line = json.dumps({"stage": stage, **_readable(values)}, default=str)
        self._check_there()
        assert self._file is not None
        data = mask(line).encode() + b"\n"
        try:
            if self._file.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            self.close()
            raise EnvironmentFault(f"{self.path} can't be written: {error.strerror}.") from error
        self._counts[stage] = self._counts.get(stage, 0) + 1

    def count(self, stage: str) -> int:
        """Return how many lines a stage has."""
        if not self._writes:
            return 0
        if self._file is None:
            self.open()
        return self._counts.get(stage, 0)

    def stages(self) -> list[str]:
        """Return the stages that have lines."""
        if self._writes and self._file is None:
            self.open()
        return [stage for stage, count in self._counts.items() if count]

    def damage(self) -> list[str]:
        """Return a sentence on each damaged line."""
        return damage_of(self.path, read_lines(self.path))

    def cut(self, stage: str, keep: int) -> None:
        """Keep only the first `keep` lines of a stage; other stages' lines stay."""
        if self.count(stage) > keep:
            self.remove(stage, lambda number, row: number >= keep)

    def remove(self, stage: str, unwanted: Callable[[int, dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """Remove and return lines of a stage. unwanted: is told the number, 0 for the stage's first, and the line."""
        removed: list[dict[str, Any]] = []
        if self.count(stage) == 0:
            return removed
        lines = read_lines(self.path)
        kept, number = [], 0
        for line, of in zip(lines, _stages(lines), strict=True):
            if of == stage:
                number += 1
                if unwanted(number - 1, line.row or {}):
                    removed.append(line.row or {})
                    continue
            kept.append(line)
        if not removed:
            return removed
        self.close()
        write_whole(self.path, _joined(kept))
        self.open()
        return removed

    def sync(self) -> None:
        """Force what was written to disk."""
        if self._file is not None:
            self._check_there()
            os.fsync(self._file.fileno())

    def _check_there(self) -> None:
        """Raise EnvironmentFault where the open file was removed, since what is written to it is kept nowhere."""
        if self._file is not None and os.fstat(self._file.fileno()).st_nlink == 0:
            self.close()
            raise EnvironmentFault(f"{self.path} was removed while it was written; {REMOVED}.")

    def close(self) -> None:
        """Close the file; the next append opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _joined(lines: list[Line]) -> bytes:
    return b"".join(line.raw + b"\n" for line in lines)


def _stages(lines: list[Line]) -> list[str]:
    """Return the stage of each line: of a damaged one what it still names, else that of its neighbours."""
    read = [None if line.row is None else str(line.row.get("stage", "")) for line in lines]
    known = set(read)
    found: list[str] = []
    for i, stage in enumerate(read):
        before = found[-1] if found else ""
        after = next((other for other in read[i + 1 :] if other is not None), None) if stage is None else None
        if stage is None:
            named = _STAGE.search(lines[i].raw)
            stage = named[1].decode("utf-8", "replace") if named else before
            if stage not in known and before == after:  # the name itself is damaged
                stage = before
        found.append(stage)
    return found


def _readable(value: Any) -> Any:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return "nan" if value != value else ("inf" if value > 0 else "-inf")
    if isinstance(value, dict):
        return {k: _readable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_readable(v) for v in value]
    return value


def read_records(path: Path, stage: str | None = None, shape: Shape = LINE) -> list[dict[str, Any]]:
    """Return the lines of a records file that are not damaged, all or one stage's; "nan" and "inf" come back as numbers."""
    rows = [line.row for line in read_lines(path, shape) if line.row is not None]
    return [with_numbers(row) for row in rows if stage is None or row.get("stage") == stage]
