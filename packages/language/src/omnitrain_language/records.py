"""Read records from files one by one, and name the malformed ones with their file and line."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omnitrain.api import reading
from omnitrain.errors import DataError, EnvironmentFault

_log = logging.getLogger("omnitrain.language")
PLAIN = (".txt", ".md", ".rst", ".py")
RECORDS = (".jsonl", ".ndjson", ".tsv", ".parquet")
LONGEST_LINE = 64 * 2**20
_SHOWN = 5


@dataclass
class Problems:
    """Malformed records of one pass: how many for which reason, and the first few with their places.

    refuse: raise DataError at the end of the first file that has any.
    """

    refuse: bool
    counts: Counter[str] = field(default_factory=Counter)
    shown: list[str] = field(default_factory=list)

    def add(self, path: Path | str, line: int, reason: str) -> None:
        """Count one record."""
        self.counts[reason] += 1
        if len(self.shown) < _SHOWN:
            self.shown.append(f"{path}:{line}: {reason}")

    def summary(self) -> str:
        """Say in one sentence what was wrong and where."""
        reasons = ", ".join(f"{count} x {reason}" for reason, count in sorted(self.counts.items()))
        return f"{sum(self.counts.values())} malformed records ({reasons}), the first: {'; '.join(self.shown)}"

    def file_ended(self) -> None:
        """Refuse what was found so far, if asked to.

        Raises DataError.
        """
        if self.refuse and self.counts:
            raise DataError(f"{self.summary()}. Correct them, or set malformed: skip to leave them out")

    def pass_ended(self) -> None:
        """Report what was left out."""
        if self.counts:
            _log.warning("left out %s", self.summary())


def text_fault(value: Any) -> str | None:
    """Say why a value is no usable text, or None."""
    if not isinstance(value, str):
        return f"text is {type(value).__name__}, not a string"
    if not value.strip():
        return "empty text"
    if "\0" in value:
        return "NUL character"
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return "lone surrogate"
    return None


def _named(field: str, fault: str, fields: Sequence[str]) -> str:
    return fault if len(fields) == 1 else f"{field}: {fault}"


def lines_of(path: Path, problems: Problems) -> Iterator[tuple[int, str]]:
    """Yield (physical line number, line with its end) of a UTF-8 file; undecodable lines are counted as malformed."""
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(LONGEST_LINE):
            number += 1
            if len(raw) == LONGEST_LINE and not raw.endswith(b"\n"):
                problems.add(path, number, f"line longer than {LONGEST_LINE} bytes")
                while raw and not raw.endswith(b"\n"):
                    raw = file.readline(LONGEST_LINE)
                continue
            if number == 1:
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            try:
                yield number, raw.decode("utf-8")
            except UnicodeDecodeError:
                problems.add(path, number, "not UTF-8")


def json_records(path: Path, problems: Problems) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield (line number, object) of a file of JSON lines; what is no JSON object is counted as malformed."""
    for number, line in lines_of(path, problems):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            problems.add(path, number, "not JSON")
            continue
        if isinstance(record, dict):
            yield number, record
        else:
            problems.add(path, number, f"record is {type(record).__name__}, not an object")


def _table_records(path: Path, problems: Problems) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Columns separated by tabs under a line with their names; quotation marks are text."""
    names: list[str] | None = None
    for number, line in lines_of(path, problems):
        cells = line.rstrip("\r\n").split("\t")
        if names is None:
            names = cells
        elif len(cells) == len(names):
            yield number, dict(zip(names, cells, strict=True))
        elif line.strip():
            problems.add(path, number, f"{len(cells)} columns, the first line names {len(names)}")


def parquet_records(path: Path, fields: Sequence[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield (row number from 1, those of the fields that the file has) of a parquet file.

    Raises DataError for a file that can't be read, EnvironmentFault without pyarrow.
    """
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise EnvironmentFault(f"{path} needs pyarrow: pip install 'omnitrain-language[parquet]'") from error
    with reading(path, "a parquet file"), parquet.ParquetFile(path) as file:
        present = [name for name in fields if name in file.schema_arrow.names]
        number = 0
        for batch in file.iter_batches(batch_size=1024, columns=present):
            for record in batch.to_pylist():
                number += 1
                yield number, record


def file_records(path: Path, fields: Sequence[str], problems: Problems) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield (line or row number, record) of a .jsonl, .tsv or .parquet file, with whatever is in its fields.

    fields: all that is read of a .parquet file.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        yield from parquet_records(path, fields)
    else:
        yield from (_table_records if suffix == ".tsv" else json_records)(path, problems)


def read_fields(path: Path, fields: Sequence[str], problems: Problems) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line or row number, the named text fields) of each sound record of a .jsonl, .tsv or .parquet file."""
    for number, record in file_records(path, fields, problems):
        fault = next((f"no field {name!r}" for name in fields if name not in record), None)
        fault = fault or next((_named(name, found, fields) for name in fields if (found := text_fault(record[name]))), None)
        if fault:
            problems.add(path, number, fault)
        else:
            yield number, {name: record[name] for name in fields}
    problems.file_ended()
