"""Run a recipe: stage after stage, skipping what is finished, resuming what is not."""

from __future__ import annotations

import os
import shlex
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnitrain.api.run import Run
from omnitrain.engine.building import ComponentBuilder
from omnitrain.errors import OmnitrainError, Stopped, UsageError
from omnitrain.places import cache_folder
from omnitrain.plugins import Registry, installed
from omnitrain.recipes import ResolvedRecipe, Stage, fingerprint, locked_stage, uses
from omnitrain.runs import Display, RunDirectory, RunLock, StageRecord, StageRun, StopRequest, differences
from omnitrain.runs.environment import code_versions
from omnitrain.runs.files import explained_disk_faults
from omnitrain.runs.trackers import Trackers, find_trackers
from omnitrain.streams import remark


@dataclass(frozen=True)
class Options:
    """How a recipe is run.

    force: see RunDirectory.claim. time_limit_s: stop with a checkpoint after that time. trackers: see find_trackers.
    """

    force: bool = False
    quiet: bool = False
    time_limit_s: float | None = None
    trackers: tuple[str, ...] | None = None


def stage_code(stage: Stage, registry: Registry) -> dict[str, str]:
    """Return the versions of the distributions that a stage's components come from."""
    addresses = [stage.use, *(use.use for _, use in uses(stage.config) if use.use)]
    plugins = {"core", *(address.partition("/")[0] for address in addresses)}
    return code_versions(state.distribution for state in registry.states if state.name in plugins and state.status == "ok")


def stage_fingerprint(recipe: ResolvedRecipe, stage: Stage, upstream: dict[str, str], code: dict[str, str]) -> str:
    """Return digits of all that decides a stage's result: settings, seed, versions of the code, inputs."""
    sources = {use.stage for _, use in uses(stage.config) if use.stage is not None}
    inputs = {s: upstream[s] for s in sorted(sources) if s in upstream}
    settings = locked_stage(stage)
    return fingerprint({"stage": settings, "seed": recipe.seed, "code": code, "inputs": inputs})


def run_recipe(
    recipe: ResolvedRecipe,
    out: Path,
    options: Options | None = None,
    registry: Registry | None = None,
    finished: Callable[[RunDirectory], None] | None = None,
) -> RunDirectory:
    """Run all stages of a recipe in a folder; run again on the same folder, it goes on where it stopped.

    finished: called with the folder at the end and at a stop, to write the report.
    Raises whatever a stage raises; Stopped when asked to stop.
    """
    options = options or Options()
    registry = registry or installed()
    first = int(os.environ.get("RANK", "0")) == 0
    trackers = Trackers(find_trackers(options.trackers), out, _tracked_settings(recipe))
    folder = RunDirectory(out, writes=first)
    if first:
        folder.create()
    lock = RunLock(out) if first else nullcontext()
    with lock, StopRequest(options.time_limit_s) as stop, explained_disk_faults(out):
        if first:
            folder.claim(recipe, options.force)
            folder.sweep()
        display = Display(stop.raise_if_asked, options.quiet or not first)
        builder = ComponentBuilder(registry, folder, recipe)
        upstream: dict[str, str] = {}
        try:
            if first:
                folder.tell_damage(display.say)
            for stage in recipe.stages:
                code = stage_code(stage, registry)
                upstream[stage.name] = stage_fingerprint(recipe, stage, upstream, code)
                digits, place = upstream[stage.name], cache_folder()
                run = StageRun(stage.name, folder, recipe.seed, place, builder, stop, display, digits, trackers=trackers)
                _run_stage(stage, run, folder, code, registry, options.force)
                _meet()
        except BaseException as error:
            if not first:
                raise
            _write_log(folder, traceback.format_exc())
            _tell(finished, folder, quietly=True)
            if isinstance(error, Stopped):
                advice = f"go on with 'omnitrain run {shlex.quote(str(out))}'"
                raise Stopped(f"{str(error).rstrip('.')}; {advice}.") from error
            raise
        else:
            _tell(finished, folder)
        finally:
            folder.close()
    return folder


def _tracked_settings(recipe: ResolvedRecipe) -> dict[str, dict[str, Any]]:
    """Return what trackers get to know of each stage."""
    return {stage.name: {"recipe": recipe.address, "seed": recipe.seed, **locked_stage(stage)} for stage in recipe.stages}


def _meet() -> None:
    """Wait for the other processes of this run, if there are any, so that all find what the stage has made."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        distributed.barrier()


def _tell(finished: Callable[[RunDirectory], None] | None, folder: RunDirectory, quietly: bool = False) -> None:
    """Write the report on the main process. quietly: a fault of it only goes to run.log, since another one is under way."""
    if finished is None or int(os.environ.get("RANK", "0")) != 0:
        return
    try:
        finished(folder)
    except Exception:
        if not quietly:
            raise
        _write_log(folder, traceback.format_exc())


def _run_stage(
    stage: Stage, run: StageRun, folder: RunDirectory, code: dict[str, str], registry: Registry, force: bool
) -> None:
    digits = run.identity
    record = folder.stage_record(stage.name)
    if record is not None and record.fingerprint == digits and record.status == "finished":
        run.say("finished before, not run again")
        return
    if record is not None and record.fingerprint != digits:
        if not force:
            changes = differences(record.code, code) or ["what it is made from"]
            raise UsageError(
                f"Stage {stage.name!r} of {folder.root} was begun with other code: {'; '.join(changes)}. Add --force to run "
                "it again from its beginning, choose another --out, or install the earlier versions."
            )
        run.say("its inputs changed, it is run from its beginning")
        folder.reset_stage(stage.name)
        record = None
    spent = record.seconds if record is not None else 0.0
    folder.write_stage(stage.name, StageRecord("running", digits, seconds=spent, code=code))
    started = time.monotonic()
    entry: Callable[[Any, Run], Any] = registry.builder(stage.component)
    try:
        with run:
            run.stop_if_asked()
            entry(stage.config, run)
    except OmnitrainError:
        seconds = spent + time.monotonic() - started
        folder.write_stage(stage.name, StageRecord("running", digits, seconds=seconds, code=code))
        raise
    seconds = spent + time.monotonic() - started
    folder.write_stage(stage.name, StageRecord("finished", digits, folder.made(stage.name), seconds, code))


def _write_log(folder: RunDirectory, text: str) -> None:
    """Append a traceback to run.log, so that a user's terminal stays free of it."""
    try:
        with open(folder.root / "run.log", "a", encoding="utf-8") as file:
            file.write(text + "\n")
    except OSError as error:
        remark(f"run.log can't be written: {error.strerror}")
