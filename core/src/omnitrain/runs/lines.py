"""The lines and evaluations of a stage that is started again: each is there once, whatever the stage remembers to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from omnitrain.api.finished import EVALUATIONS, evaluation_stem
from omnitrain.runs.directory import RunDirectory
from omnitrain.runs.files import remove
from omnitrain.runs.records import Records, read_records

RESUMED = "resumed"
"""The event that names the step from which a loop goes on."""


class StageLines:
    """The lines of a stage and its parts ("stage/part") in one attempt at it.

    What earlier attempts logged is removed before the stage is called, unless there may be checkpoints: `counted` names those
    whose lines one may have counted, and whoever reads such a checkpoint rewinds to it. What is logged anew without that began
    anew, and what is not logged again was skipped, since a checkpoint says that it is done. keep: stores the names.
    """

    def __init__(
        self,
        folder: RunDirectory,
        stage: str,
        counted: Iterable[str] = (),
        keep: Callable[[list[str]], None] = lambda names: None,
    ) -> None:
        self._folder, self._stage, self._keep = folder, stage, keep
        self._counted = set(counted)
        self._earlier: dict[str, tuple[int, int, int]] = {}
        self._settled: set[str] = set()

    def begin(self) -> None:
        """Remove what no checkpoint counts."""
        for name in self._names():
            if self._counted:
                self._earlier[name] = (*self._counts(name), self._folder.events.count(name))
                continue
            for records in self._records:
                records.cut(name, 0)
            if self._folder.writes:
                remove(self._folder.stage_folder(name) / EVALUATIONS)

    def end(self) -> None:
        """Remove what earlier attempts logged under names that were logged anew."""
        for name, (metrics, timing, _) in list(self._earlier.items()):
            if self._counts(name) != (metrics, timing):
                self._begins(name)

    def logs(self, name: str) -> None:
        """Take note that a line is about to be logged under a name; one that no checkpoint counts begins anew."""
        if name in self._earlier and name not in self._counted:
            self._begins(name)

    def counted(self, name: str) -> tuple[int, int]:
        """Return how many lines of metrics and timing there are, and remember that a checkpoint may count them."""
        if name not in self._counted:
            self._counted.add(name)
            self._keep(sorted(self._counted))
        self._begins(name)  # whoever counts without having rewound began from the beginning
        return self._counts(name)

    def rewind(self, name: str, metrics: int, timing: int) -> None:
        """Cut back to what a checkpoint counted; nothing counted means that there is none."""
        if not metrics and not timing and name not in self._settled:
            self._begins(name)  # what this attempt logged before it looked for a checkpoint stays
            return
        self._settled.add(name)
        self._earlier.pop(name, None)
        self._folder.timing.cut(name, timing)
        self._drop_evaluations(name, self._folder.metrics.remove(name, lambda number, row: number >= metrics))

    def resumed(self, name: str, step: Any) -> None:
        """Remove the events of later steps, which come again; that an attempt went on from some step did happen."""
        if isinstance(step, int):
            self._folder.events.remove(name, lambda number, row: row.get("event") != RESUMED and _step(row) > step)

    def _begins(self, name: str) -> None:
        """Remove what earlier attempts logged under a name, since this one does not go on from a checkpoint of theirs."""
        self._settled.add(name)
        if name not in self._earlier:
            return
        metrics, timing, events = self._earlier.pop(name)
        self._folder.events.remove(name, lambda number, row: number < events)
        self._folder.timing.remove(name, lambda number, row: number < timing)
        self._drop_evaluations(name, self._folder.metrics.remove(name, lambda number, row: number < metrics))

    def _drop_evaluations(self, name: str, removed: list[dict[str, Any]]) -> None:
        """Remove the files of evaluations whose lines were removed and were not logged again."""
        if not removed:
            return
        left = {(row.get("split"), _step(row)) for row in read_records(self._folder.metrics.path, name)}
        for split, step in {(row.get("split"), _step(row)) for row in removed} - left:
            label = str(split)
            for stem in {evaluation_stem(label, step), evaluation_stem(label, step or None)}:
                remove(self._folder.stage_folder(name) / EVALUATIONS / f"{stem}.json")

    def _counts(self, name: str) -> tuple[int, int]:
        return self._folder.metrics.count(name), self._folder.timing.count(name)

    @property
    def _records(self) -> tuple[Records, ...]:
        return self._folder.metrics, self._folder.timing, self._folder.events

    def _names(self) -> list[str]:
        found = {name for records in self._records for name in records.stages() if name.startswith(f"{self._stage}/")}
        return sorted({self._stage, *found})


def _step(row: dict[str, Any]) -> int:
    step = row.get("step")
    return step if isinstance(step, int) else 0
