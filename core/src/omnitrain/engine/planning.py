"""What a dry run reads of stages that are no training: their data fields, as it reads those of core/fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import Any

from omnitrain.api.config import Config
from omnitrain.api.run import Run
from omnitrain.errors import NotMadeYet, Unreachable


class ReadsData:
    """A stage whose ability `PlansStage` builds and prepares its data, so that faults in a user's files end the dry run and
    what is taken of them is among its notes. Called, it is the stage itself."""

    def __init__(self, stage: Callable[[Any, Run], None]) -> None:
        self._stage = stage
        update_wrapper(self, stage)

    def __call__(self, config: Any, run: Run) -> None:
        """Run the stage."""
        self._stage(config, run)

    def plan(self, config: Config, run: Run) -> Sequence[str]:
        """Read the data fields that need no earlier stage; return what could not be read from here."""
        from omnitrain.recipes import uses

        notes: list[str] = []
        outer: list[tuple[int | str, ...]] = []
        for path, use in uses(config):
            inside = any(path[: len(above)] == above for above in outer)
            if use.kind != "data" or use.source is not None or inside:
                continue
            outer.append(path)
            try:
                run.data(use)
            except (Unreachable, NotMadeYet) as error:
                notes.append(f"{'.'.join(map(str, path))}: not checked here: {error}")
        return notes


def reads_data(stage: Callable[[Any, Run], None]) -> ReadsData:
    """Make a stage read its data in a dry run; for data that is quick to read, or whose slow work is cached for the run."""
    return ReadsData(stage)
