"""FLAN-shaped records as queries: what is left out by which rule, and what is malformed."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from omnitrain_language.folders import find_files
from omnitrain_language.records import RECORDS, Problems, file_records, text_fault
from omnitrain_orca.paper.sampling import FEW_SHOT, ZERO_SHOT, Collection, is_big_bench
from omnitrain_orca.paper.systems import is_multiple_choice

FIELDS = ("inputs", "targets", "task_source", "task_name", "template_type", "has_options")
_SOURCES: Mapping[str, Collection | None] = {
    "cot": "cot",
    "niv2": "niv",
    "niv": "niv",
    "p3": "t0",
    "t0": "t0",
    "flan2021": "flan",
    "flan": "flan",
    "dialog": None,
    "dialog_gen": None,
}


@dataclass(frozen=True)
class Query:
    """digest: 64 bits of collection, task, question and target. target: FLAN's label, which no student of a teacher sees."""

    collection: Collection
    task: str
    template_type: str
    question: str
    target: str
    has_options: bool
    digest: int

    @property
    def id(self) -> str:
        """Digits that tell this query from all others, whichever file it is in."""
        return f"{self.collection}.{self.digest:016x}"


@dataclass
class LeftOut:
    """Sound records that a rule leaves out, counted by rule."""

    counts: Counter[str] = field(default_factory=Counter)


def query_of(record: Mapping[str, Any], left_out: LeftOut) -> Query | str | None:
    """Return the query of a record, what is wrong with it, or None where a rule leaves it out."""
    for name in ("inputs", "targets", "task_source", "task_name", "template_type"):
        if name not in record:
            return f"no field {name!r}"
        if fault := text_fault(record[name]):
            return f"{name}: {fault}"
    source, kind = record["task_source"].strip().lower(), record["template_type"]
    if source not in _SOURCES:
        return f"task_source {record['task_source']!r} is none of CoT, NIv2, P3 (T0), Flan2021, Dialog"
    if kind not in (*ZERO_SHOT, *FEW_SHOT):
        return f"template_type {kind!r} is none of {', '.join((*ZERO_SHOT, *FEW_SHOT))}"
    told = record.get("has_options")
    if told is not None and not isinstance(told, bool):
        return f"has_options is {type(told).__name__}, neither true nor false"
    collection, task, question = _SOURCES[source], record["task_name"], record["inputs"]
    if collection is None:
        left_out.counts["dialog"] += 1
    elif kind in FEW_SHOT:
        left_out.counts["few-shot"] += 1
    elif collection == "t0" and is_big_bench(task):
        left_out.counts["BIG-bench"] += 1
    else:
        # Not every query of a template with options has some: its text tells.
        has_options = is_multiple_choice(question) if told is None else told
        digest = digest_of(collection, task, question, record["targets"])
        return Query(collection, task, kind, question, record["targets"], has_options, digest)
    return None


def digest_of(collection: str, task: str, question: str, target: str) -> int:
    """Return 64 bits of a query's content."""
    content = "\0".join((collection, task, question, target)).encode()
    return int.from_bytes(hashlib.blake2b(content, digest_size=8, person=b"omnitrain.orca").digest(), "big")


def read_queries(path: str, refuse: bool, left_out: LeftOut) -> Iterator[Query]:
    """Yield the queries of .jsonl, .tsv and .parquet files.

    Raises DataError where there is no file, and for malformed records where they are refused.
    """
    problems = Problems(refuse)
    for file in find_files(path, RECORDS):
        for number, record in file_records(file, FIELDS, problems):
            found = query_of(record, left_out)
            if isinstance(found, str):
                problems.add(file, number, found)
            elif found is not None:
                yield found
        problems.file_ended()
    problems.pass_ended()
