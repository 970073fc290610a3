"""Append-only json lines that can be cut back to where a checkpoint stood."""

from __future__ import annotations

import errno
import json
import os
from io import FileIO
from pathlib import Path
from typing import Any

from omnitrain.errors import EnvironmentFault
from omnitrain.runs.files import write_whole


class Records:
    """One .jsonl file of a run, shared by its stages; every line carries its stage."""

    def __init__(self, path: Path, writes: bool = True) -> None:
        self.path, self._writes = path, writes
        self._file: FileIO | None = None
        self._counts: dict[str, int] = {}

    def open(self) -> None:
        """Drop a torn last line, count the lines of each stage and open for appending.

        Raises EnvironmentFault when the file can't be opened.
        """
        self.close()
        lines = self._lines()
        text = "".join(lines)
        if self.path.exists() and self.path.stat().st_size != len(text.encode()):
            write_whole(self.path, text)
        self._counts = {}
        for line in lines:
            stage = json.loads(line).get("stage", "")
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
        assert self._file is not None
        line = json.dumps({"stage": stage, **values}, default=str, allow_nan=True)
        if "NaN" in line or "Infinity" in line:
            line = json.dumps({"stage": stage, **_readable(values)}, default=str)
        data = line.encode() + b"\n"
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

    def cut(self, stage: str, keep: int) -> None:
        """Keep only the first `keep` lines of a stage; other stages' lines stay."""
        if not self._writes:
            return
        kept, seen = [], 0
        for line in self._lines():
            if json.loads(line).get("stage", "") == stage:
                seen += 1
                if seen > keep:
                    continue
            kept.append(line)
        self.close()
        write_whole(self.path, "".join(kept))
        self.open()

    def sync(self) -> None:
        """Force what was written to disk."""
        if self._file is not None:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file; the next append opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _lines(self) -> list[str]:
        if not self.path.exists():
            return []
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise EnvironmentFault(f"{self.path} can't be read: {error.strerror}.") from error
        whole = []
        for line in text.splitlines(keepends=True):
            if not line.endswith("\n"):
                break
            try:
                if not isinstance(json.loads(line), dict):
                    break
            except ValueError:
                break
            whole.append(line)
        return whole


def _readable(value: Any) -> Any:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return "nan" if value != value else ("inf" if value > 0 else "-inf")
    if isinstance(value, dict):
        return {k: _readable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_readable(v) for v in value]
    return value


def read_records(path: Path, stage: str | None = None) -> list[dict[str, Any]]:
    """Return the whole lines of a records file, all or one stage's; "nan" and "inf" come back as numbers."""
    out = []
    for line in Records(path)._lines():
        row = json.loads(line)
        if stage is None or row.get("stage") == stage:
            out.append({k: float(v) if v in ("nan", "inf", "-inf") else v for k, v in row.items()})
    return out
