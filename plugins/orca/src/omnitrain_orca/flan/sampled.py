"""The queries that `orca/sample` leaves: lines of JSON, in the order in which they were drawn."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from omnitrain.api import text_lines
from omnitrain.errors import DataError
from omnitrain_orca.flan.records import Query
from omnitrain_orca.paper.systems import system_of

FILE = "queries.jsonl"


@dataclass(frozen=True)
class SampledQuery:
    """A query with its system message."""

    id: str
    collection: str
    task: str
    question: str
    target: str
    system_id: int
    system: str

    @property
    def digest(self) -> int:
        """The 64 bits of the query."""
        return int(self.id.partition(".")[2], 16)


def line_of(query: Query, systems: Mapping[int, str], seed: int) -> str:
    """Return a query with the system message that it gets under a seed, as a line without its end."""
    system = system_of(query.collection, query.has_options, query.digest, seed)
    values = {
        "id": query.id,
        "collection": query.collection,
        "task": query.task,
        "template_type": query.template_type,
        "question": query.question,
        "has_options": query.has_options,
        "target": query.target,
        "system_id": system,
        "system": systems[system],
    }
    return json.dumps(values, ensure_ascii=False)


def read_sampled(file: Path) -> Iterator[SampledQuery]:
    """Yield the queries of a file of `orca/sample`. Raises DataError for a line that is none."""
    names = SampledQuery.__dataclass_fields__
    for number, line in text_lines(file):
        try:
            values = json.loads(line)
            found = SampledQuery(**{name: values[name] for name in names})
            int(found.id.partition(".")[2], 16)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise DataError(f"{file}:{number} is no query of orca/sample ({error!r}); name the file that it wrote") from error
        yield found
