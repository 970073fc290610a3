"""What a dry run reads of stages that are no training: their data fields, as it reads those of core/fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial, update_wrapper
from typing import Any, overload

from omnitrain.api.config import Config
from omnitrain.api.data import Data
from omnitrain.api.run import Run
from omnitrain.errors import NotMadeYet, Unreachable

StageFunction = Callable[[Any, Run], None]
Check = Callable[[Any, Run, Mapping[str, Data]], None]


class ReadsData:
    """A stage whose ability `PlansStage` builds and prepares its data, so that faults in a user's files end the dry run and
    what is taken of them is among its notes. Called, it is the stage itself."""

    def __init__(self, stage: StageFunction, check: Check | None = None) -> None:
        self._stage, self._check = stage, check
        update_wrapper(self, stage)

    def __call__(self, config: Any, run: Run) -> None:
        """Run the stage."""
        self._stage(config, run)

    def plan(self, config: Config, run: Run) -> Sequence[str]:
        """Read the data fields that need no earlier stage; return what could not be read from here."""
        from omnitrain.recipes import uses

        notes: list[str] = []
        outer: list[tuple[int | str, ...]] = []
        found: dict[str, Data] = {}
        for path, use in uses(config):
            inside = any(path[: len(above)] == above for above in outer)
            if use.kind != "data" or use.source is not None or inside:
                continue
            outer.append(path)
            key = ".".join(map(str, path))
            try:
                found[key], _ = run.data(use)
            except (Unreachable, NotMadeYet) as error:
                notes.append(f"{key}: not checked here: {error}")
        if self._check is not None:
            try:
                self._check(config, run, found)
            except (Unreachable, NotMadeYet) as error:
                notes.append(f"not checked here: {error}")
        return notes


@overload
def reads_data(stage: StageFunction, /) -> ReadsData: ...


@overload
def reads_data(*, check: Check) -> Callable[[StageFunction], ReadsData]: ...


def reads_data(
    stage: StageFunction | None = None, /, *, check: Check | None = None
) -> ReadsData | Callable[[StageFunction], ReadsData]:
    """Make a stage read its data in a dry run; for data that is quick to read, or whose slow work is cached for the run.

    check: refuses settings before the first stage of a recipe begins. It takes the settings, the run and the data fields
    that could be read, by their keys ("tasks.sums.data"), and raises UsageError or DataError that names the setting.
    """
    return partial(ReadsData, check=check) if stage is None else ReadsData(stage, check)
