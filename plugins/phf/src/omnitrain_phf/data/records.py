"""Scored records: read from JSON lines, parquet or the hub, checked, and named where they are malformed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from omnitrain.errors import DataError, EnvironmentFault, Unreachable
from omnitrain_language.folders import find_files
from omnitrain_language.records import Problems, json_records, parquet_records, text_fault

SUFFIXES = (".jsonl", ".ndjson", ".parquet")
HUB = "hub:"
_FIELDS = ("texts", "scores", "avg_score", "text", "score")


@dataclass(frozen=True)
class Record:
    """One document. average: its avg_score. segmented: false for records {"text", "score"}. shard: number of its file."""

    texts: list[str]
    scores: list[float]
    average: float
    segmented: bool
    shard: int

    @property
    def text(self) -> str:
        """The whole document."""
        return "".join(self.texts)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    number = float(value)
    return number if math.isfinite(number) and number >= 0 else None


def parse_record(raw: Mapping[str, Any], shard: int) -> Record | str:
    """Return the record, or what is wrong with it."""
    segmented = raw.get("texts") is not None
    texts, scores = (raw.get("texts"), raw.get("scores")) if segmented else ([raw.get("text")], [raw.get("score")])
    if not segmented and raw.get("text") is None:
        return "no field 'texts'"
    if scores is None or (not segmented and scores == [None]):
        return f"no field {'scores' if segmented else 'score'!r}"
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        return "texts is no list of strings"
    if not isinstance(scores, list):
        return "scores is no list"
    if len(texts) != len(scores):
        return f"{len(texts)} texts, {len(scores)} scores"
    numbers = [_number(score) for score in scores]
    sound = [number for number in numbers if number is not None]
    if len(sound) != len(numbers):
        return "a score is no finite number of 0 or more"
    fault = text_fault("".join(texts))
    if fault:
        return fault
    average = raw.get("avg_score")
    checked = fmean(sound) if average is None else _number(average)
    if checked is None:
        return "avg_score is no finite number of 0 or more"
    return Record(texts, sound, checked, segmented, shard)


def _hub(path: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        import datasets
    except ImportError as error:
        raise EnvironmentFault(f"path {path!r} needs datasets: pip install 'omnitrain-phf[hub]'") from error
    try:
        rows = datasets.load_dataset(path.removeprefix(HUB), split="train", streaming=True)
        yield from enumerate(rows, 1)
    except (OSError, ValueError) as error:
        raise Unreachable(f"{path}: can't be read from the hub ({str(error).splitlines()[0]})") from error


def _sources(path: str, problems: Problems) -> Iterator[tuple[str, Iterator[tuple[int, Mapping[str, Any]]]]]:
    if path.startswith(HUB):
        yield path, _hub(path)
        return
    for file in find_files(path, SUFFIXES):
        yield str(file), parquet_records(file, _FIELDS) if file.suffix.lower() == ".parquet" else json_records(file, problems)


def read_records(path: str, problems: Problems) -> Iterator[Record]:
    """Yield the sound records of a file, folder, glob pattern or `hub:OWNER/NAME`, file by file.

    Raises DataError when there is none, or for malformed ones where `problems` refuses them.
    """
    empty = True
    for shard, (name, rows) in enumerate(_sources(path, problems)):
        for line, raw in rows:
            found = parse_record(raw, shard)
            if isinstance(found, str):
                problems.add(name, line, found)
            else:
                empty = False
                yield found
        problems.file_ended()
    problems.pass_ended()
    if empty:
        raise DataError(f"{path}: no scored record could be read. {problems.summary() if problems.counts else ''}".rstrip())


def records_fingerprint(path: str) -> str:
    """Return a hash of the content; of a hub data set, of its name."""
    digest = hashlib.blake2b(digest_size=16)
    if path.startswith(HUB):
        digest.update(path.encode())
        return digest.hexdigest()
    for file in find_files(path, SUFFIXES):
        digest.update(f"{file.name} {file.stat().st_size}\n".encode())
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=16)).digest())
    return digest.hexdigest()
