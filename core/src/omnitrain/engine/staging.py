"""One stage of a run: skipped where it is finished, gone on with where it was begun, refused where its basis changed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from omnitrain.api.run import Run
from omnitrain.engine.building import ComponentBuilder
from omnitrain.engine.identity import Basis, changed_inputs, explain, product, read_inputs, stage_basis, stage_code
from omnitrain.errors import DataError, EnvironmentFault, OmnitrainError, UsageError
from omnitrain.plugins import Registry
from omnitrain.recipes import ResolvedRecipe, Stage, uses
from omnitrain.runs import Display, RunDirectory, StageRecord, StageRun, StopRequest, with_model_source
from omnitrain.runs.contents import Contents
from omnitrain.runs.lines import StageLines
from omnitrain.runs.notes import ChangedData, DataNotes
from omnitrain.runs.trackers import Trackers


class StageRuns:
    """Runs the stages of a recipe in their order. cache: for slow work. force: run stages anew whose basis changed."""

    def __init__(
        self,
        recipe: ResolvedRecipe,
        folder: RunDirectory,
        registry: Registry,
        cache: Path,
        display: Display,
        stop: StopRequest,
        trackers: Trackers,
        force: bool = False,
    ) -> None:
        self._recipe, self._folder, self._registry, self._cache = recipe, folder, registry, cache
        self._display, self._stop, self._trackers, self._force = display, stop, trackers, force
        self._builder = ComponentBuilder(registry, folder, recipe)
        self._contents = Contents(cache, display.bar)
        self._digits: dict[str, str] = {}

    def run(self, stage: Stage) -> None:
        """Run one stage, or skip it.

        Raises UsageError where what it rests on is another than before, and whatever the stage raises.
        """
        self._check_sources(stage)
        record = None if self._folder.rests_on_nothing(stage.name) else self._folder.stage_record(stage.name)
        upstream = {name: product(digits, self._folder.stage_record(name)) for name, digits in self._digits.items()}
        basis = stage_basis(self._recipe, stage, upstream, stage_code(stage, self._registry), self._contents, record)
        for setting in basis.gone:
            self._say(stage, f"{setting}: {basis.inputs[setting]['path']} is not there any more and counts as unchanged")
        if record is not None and record.fingerprint != basis.digits:
            self._refuse_unless_forced(stage, record, basis)
            record = None
        if record is not None and record.status == "finished":
            self._say(stage, "finished before, not run again")
            self._tell_damage(stage, record)
        else:
            self._carry_out(stage, basis, record)
        self._digits[stage.name] = basis.digits

    def _tell_damage(self, stage: Stage, record: StageRecord) -> None:
        """Name products of a finished stage that are not as it left them; a stage that takes one is refused."""
        for name in record.artifacts:
            try:
                self._folder.artifact(stage.name, name)
            except EnvironmentFault as error:
                self._say(stage, str(error))

    def _check_sources(self, stage: Stage) -> None:
        """Refuse to take from a stage whose inputs have changed since it ran, also in this run."""
        for source in dict.fromkeys(use.stage for _, use in uses(stage.config) if use.stage is not None):
            record = self._folder.stage_record(source)
            if record is None:
                continue
            inputs, _ = read_inputs(self._recipe.stage(source), self._contents, record)
            changes = changed_inputs(record, inputs)
            if changes:
                raise UsageError(
                    f"Stage {stage.name!r} of {self._folder.root} takes from stage {source!r}, whose inputs changed "
                    f"since it ran: {'; '.join(changes)}; restore the files, or add --force "
                    f"to run {source!r} again from its beginning."
                )

    def _refuse_unless_forced(self, stage: Stage, record: StageRecord, basis: Basis) -> None:
        if not self._force:
            what, cure = explain(record, basis)
            raise UsageError(
                f"Stage {stage.name!r} of {self._folder.root} was begun with {what}; add --force to run it again from its "
                f"beginning, choose another --out, or {cure}."
            )
        self._begin_anew(stage)

    def _begin_anew(self, stage: Stage) -> None:
        self._say(stage, "its inputs changed, it is run from its beginning")
        self._folder.reset_stage(stage.name)

    def _carry_out(self, stage: Stage, basis: Basis, record: StageRecord | None) -> None:
        try:
            self._attempt(stage, basis, record)
        except ChangedData:
            if not self._force:
                raise
            self._begin_anew(stage)
            self._attempt(stage, basis, None)

    def _attempt(self, stage: Stage, basis: Basis, earlier: StageRecord | None) -> None:
        now = basis.record()
        if earlier is not None:
            now = replace(now, seconds=earlier.seconds, data=earlier.data, counted=earlier.counted)

        def keep(**more: Any) -> None:
            nonlocal now
            now = replace(now, **more)
            self._folder.write_stage(stage.name, now)

        keep()
        lines = StageLines(self._folder, stage.name, now.counted, lambda names: keep(counted=names))
        notes = DataNotes(stage, now.data, lambda noted: keep(data=noted))
        entry: Callable[[Any, Run], Any] = self._registry.builder(stage.component)
        spent, started = now.seconds, time.monotonic()
        lines.begin()
        try:
            with self._stage_run(stage, basis.digits, lines, notes) as run:
                run.stop_if_asked()
                entry(stage.config, run)
        except OmnitrainError as error:
            keep(seconds=spent + time.monotonic() - started, refused=isinstance(error, DataError))
            raise
        lines.end()
        seconds = spent + time.monotonic() - started
        keep(status="finished", artifacts=self._folder.made(stage.name), seconds=seconds)

    def _stage_run(self, stage: Stage, digits: str, lines: StageLines, notes: DataNotes) -> StageRun:
        run = StageRun(
            stage.name,
            self._folder,
            self._recipe.seed,
            self._cache,
            self._builder,
            self._stop,
            self._display,
            digits,
            trackers=self._trackers,
            lines=lines,
            notes=notes,
        )
        return with_model_source(run, self._builder.stage_model_source(stage))

    def _say(self, stage: Stage, text: str) -> None:
        self._display.say(f"{stage.name}: {text}")
