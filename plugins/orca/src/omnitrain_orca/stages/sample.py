"""Stage `orca/sample`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omnitrain.api import Evaluation, Metric, Run, Table, numpy_generator
from omnitrain.errors import DataError
from omnitrain_language.folders import named_by, tell_files
from omnitrain_language.records import RECORDS
from omnitrain_orca.configs.stages import BUILTIN, SampleConfig
from omnitrain_orca.flan import pool as pools
from omnitrain_orca.flan.ordering import write_ranked
from omnitrain_orca.flan.pool import UNUSED, Pool, Rule, Sampled
from omnitrain_orca.flan.reasoning import generated_queries
from omnitrain_orca.flan.records import LeftOut, Query, read_queries
from omnitrain_orca.flan.sampled import FILE, line_of
from omnitrain_orca.flan.systems import read_systems
from omnitrain_orca.paper.sampling import COLLECTIONS, Collection

_SHOWN_TASKS = 40


def rules_of(config: SampleConfig) -> dict[Collection, Rule]:
    """Return the rule of each collection."""
    found = {name: getattr(config, name) for name in COLLECTIONS}
    return {name: Rule(rule.per_task, rule.queries) for name, rule in found.items()}


class Sample:
    """Called as a stage: two passes over the files, with twelve bytes a query in memory between them."""

    def __call__(self, config: SampleConfig, run: Run) -> None:
        """Leave the artifact "queries", in an order that no sharding of the files changes.

        Raises DataError for malformed records and where no query is left.
        """
        systems = read_systems(config.systems)
        if config.path != BUILTIN:
            tell_files(config.path, RECORDS, run)
        pool, left_out = Pool(), LeftOut()
        with run.progress("read queries") as bar:
            for query in self._queries(config, run, left_out):
                pool.add(query)
                if len(pool) % 1000 == 0:
                    bar.advance(1000)
        if not len(pool):
            told = ", ".join(f"{count} by the rule {rule}" for rule, count in left_out.counts.items()) or "there is none"
            raise DataError(f"{config.path}: no zero-shot query is left ({told}); name files with some.")
        found = pools.sample(pool, rules_of(config), run.seed)
        chosen = Counter[str]()
        with run.artifact("queries", "queries", folder=True) as folder:
            lines = self._lines(self._queries(config, run, LeftOut()), found, systems, run, chosen)
            write_ranked(lines, found.count, folder / FILE, run.directory / "parts")
        run.report("sampled", _evaluation(found, left_out, chosen))

    def plan(self, config: SampleConfig, run: Run) -> Sequence[str]:
        """Read the system messages, and see whether the files are there."""
        read_systems(config.systems)
        if config.path == BUILTIN:
            return [f"{config.generated} generated queries of each task"]
        if config.elsewhere and not named_by(config.path, RECORDS).files:
            return [f"{config.path} is not on this machine; the run reads it"]
        tell_files(config.path, RECORDS, run)
        return []

    def _queries(self, config: SampleConfig, run: Run, left_out: LeftOut) -> Iterator[Query]:
        if config.path == BUILTIN:
            return generated_queries(config.generated, config.steps, numpy_generator(run.seed("reasoning")))
        return read_queries(config.path, config.malformed == "refuse", left_out)

    def _lines(
        self, queries: Iterator[Query], found: Sampled, systems: Mapping[int, str], run: Run, chosen: Counter[str]
    ) -> Iterator[tuple[int, str]]:
        """Yield each sampled query with its place; count what stands in a line beside the question."""
        seed = run.seed("systems")
        with run.progress("write queries", found.count) as bar:
            for number, query in enumerate(queries):
                if number >= len(found.ranks):
                    raise DataError(f"there are more queries than the {number} of the first reading: leave the files alone")
                place = int(found.ranks[number])
                if place != UNUSED:
                    line = line_of(query, systems, seed)
                    chosen[str(json.loads(line)["system_id"])] += 1
                    yield place, line
                    bar.advance()


def _evaluation(found: Sampled, left_out: LeftOut, chosen: Counter[str]) -> Evaluation:
    """Return how many queries there are of what."""
    metrics: dict[str, Metric] = {}
    for collection in COLLECTIONS:
        own = [sizes for (name, _), sizes in found.sizes.items() if name == collection]
        if own:
            metrics[f"{collection}/queries"] = Metric(float(sum(taken for _, taken in own)), len(own))
    metrics["duplicates"] = Metric(float(found.duplicates), len(found.ranks), "lower")
    metrics |= {f"left out/{rule}": Metric(float(count), count) for rule, count in left_out.counts.items()}
    largest = sorted(found.sizes.items(), key=lambda item: -item[1][0])[:_SHOWN_TASKS]
    tasks: list[list[Any]] = [[collection, task, size, taken] for (collection, task), (size, taken) in largest]
    ids: list[list[Any]] = [[number, chosen[number]] for number in sorted(chosen, key=int)]
    tables = {
        "largest tasks": Table(("collection", "task", "queries", "sampled"), tasks),
        "system messages": Table(("id", "queries"), ids),
    }
    return Evaluation(metrics, tables=tables)


sample = Sample()
