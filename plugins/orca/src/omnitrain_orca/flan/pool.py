"""Millions of queries in memory as twelve bytes each, and which of them are sampled."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from omnitrain.api import numpy_generator
from omnitrain_orca.flan.records import Query
from omnitrain_orca.paper.sampling import Collection, draw_tasks, drawn_places

UNUSED = -1
_DRAWN_TOGETHER = 65_536


@dataclass(frozen=True)
class Rule:
    """per_task: most queries of one task. queries: most of all, by Algorithm 1; None takes everything."""

    per_task: int | None
    queries: int | None


@dataclass
class Pool:
    """What is kept of queries: the digest and the number of the task of each, in the order in which they were read."""

    names: dict[tuple[Collection, str], int] = field(default_factory=dict)
    digests: array[int] = field(default_factory=lambda: array("Q"))
    tasks: array[int] = field(default_factory=lambda: array("i"))

    def add(self, query: Query) -> None:
        """Take one query in."""
        self.digests.append(query.digest)
        self.tasks.append(self.names.setdefault((query.collection, query.task), len(self.names)))

    def __len__(self) -> int:
        return len(self.digests)


@dataclass(frozen=True)
class Sampled:
    """ranks: int32[queries of the pool], the place in the sample or UNUSED. sizes: different queries by task, in the pool
    and in the sample. duplicates: queries that are in the pool more than once."""

    ranks: NDArray[np.int32]
    sizes: Mapping[tuple[Collection, str], tuple[int, int]]
    duplicates: int

    @property
    def count(self) -> int:
        """Queries of the sample."""
        return sum(sampled for _, sampled in self.sizes.values())


def mixed_all(digests: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Return `omnitrain_orca.paper.systems.mixed` of many digests."""
    z = digests + np.uint64(seed * 0x9E3779B97F4A7C15 & 2**64 - 1)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def sample(pool: Pool, rules: Mapping[Collection, Rule], seed: Callable[[str], int]) -> Sampled:
    """Draw a sample, which depends on the queries and the seeds and not on the order in which the queries were read.

    A task's queries are shuffled by their digests; tasks are in the order of their names. seed: of a named stream.
    """
    digests, tasks = np.frombuffer(pool.digests, np.uint64), np.frombuffer(pool.tasks, np.int32)
    names = sorted(pool.names)
    renumbered = np.empty(len(names), np.int32)
    for number, name in enumerate(names):
        renumbered[pool.names[name]] = number
    _, first = np.unique(digests, return_index=True)
    order = first[np.lexsort((mixed_all(digests[first], seed("order")), renumbered[tasks[first]]))]
    sizes = np.bincount(renumbered[tasks[first]], minlength=len(names))
    starts = np.cumsum(sizes) - sizes
    ranks = np.full(len(pool), UNUSED, np.int32)
    taken, done = np.zeros(len(names), np.int64), 0
    for collection, rule in rules.items():
        own = np.asarray([number for number, name in enumerate(names) if name[0] == collection], np.int64)
        most = np.minimum(sizes[own], rule.per_task) if rule.per_task is not None else sizes[own]
        if rule.queries is None:
            drawn = np.repeat(np.arange(len(own), dtype=np.int32), most)
        else:
            drawn = draw_tasks(most.tolist(), rule.queries, _uniforms(seed(f"draw/{collection}")))
        chosen = order[starts[own][drawn] + drawn_places(drawn, most.tolist())]
        ranks[chosen] = np.arange(done, done + len(chosen), dtype=np.int32)
        taken[own] = np.bincount(drawn, minlength=len(own))
        done += len(chosen)
    counted = {name: (int(sizes[number]), int(taken[number])) for number, name in enumerate(names)}
    return Sampled(ranks, counted, len(pool) - len(first))


def _uniforms(seed: int) -> Iterator[float]:
    generator = numpy_generator(seed)
    while True:
        yield from generator.random(_DRAWN_TOGETHER).tolist()
