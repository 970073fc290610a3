"""Run a recipe: stage after stage, skipping what is finished, resuming what is not."""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnitrain.engine.beforehand import check_recipe, is_finished
from omnitrain.engine.staging import StageRuns
from omnitrain.errors import Stopped, UsageError
from omnitrain.masking import lacking, mask
from omnitrain.places import cache_folder
from omnitrain.plugins import Registry, installed
from omnitrain.recipes import ResolvedRecipe, locked_stage, plain
from omnitrain.runs import Display, RunDirectory, RunLock, StopRequest
from omnitrain.runs.directory import RUN_FILE
from omnitrain.runs.files import explained_disk_faults
from omnitrain.runs.notices import told_to
from omnitrain.runs.trackers import Trackers, find_trackers
from omnitrain.runs.warned import warnings_to
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
    with lock, StopRequest(options.time_limit_s) as stop, explained_disk_faults(out), ExitStack() as hears:
        hears.callback(folder.close)
        if first:
            _begin(recipe, folder, registry, stop, options)
        else:
            _check_secrets(recipe, folder)
        display = Display(stop.raise_if_asked, options.quiet or not first)
        hears.enter_context(told_to(lambda text: _noted(text, display, folder)))
        stages = StageRuns(recipe, folder, registry, cache_folder(), display, stop, trackers, options.force)
        try:
            if first:
                folder.tell_damage(display.say)
            for stage in recipe.stages:
                stages.run(stage)
                _meet()
        except BaseException as error:
            if not first:
                raise
            _write_log(folder, traceback.format_exc())
            _tell(finished, folder, quietly=True)
            if isinstance(error, Stopped):
                raise _advised(error, folder) from error
            raise
        else:
            _tell(finished, folder)
    return folder


def _advised(stopped: Stopped, folder: RunDirectory) -> Stopped:
    """Return what stopped a run with the command that goes on with it."""
    return Stopped(f"{str(stopped).rstrip('.')}; go on with 'omnitrain run {shlex.quote(str(folder.root))}'.")


def _noted(text: str, display: Display, folder: RunDirectory) -> None:
    """Say and keep what code without a run at hand has to tell."""
    display.say(f"note: {text}")
    folder.events.append("", event="note", note=text)


def _check_secrets(recipe: ResolvedRecipe, folder: RunDirectory) -> None:
    """Refuse to begin where an address that is still needed lacks its secret, which no run directory holds.

    Raises UsageError.
    """
    for stage in recipe.stages:
        key = next(lacking(plain(stage.config)), None)
        if key is not None and not is_finished(stage.name, folder):
            raise UsageError(
                f"{stage.name}.{key}: the secret of this address is not stored with the run; go on with the recipe that holds "
                f"it: omnitrain run RECIPE --out {shlex.quote(str(folder.root))}"
            )


def _begin(recipe: ResolvedRecipe, folder: RunDirectory, registry: Registry, stop: StopRequest, options: Options) -> None:
    """Claim the folder and check what can be checked before anything is trained; a recipe that can't run claims no new one.

    Raises whatever the checks find; Stopped when asked to stop, with the folder claimed, so that the run can be gone on with.
    """
    claimed = (folder.root / RUN_FILE).exists()
    if claimed:
        folder.claim(recipe, options.force)
        folder.sweep()
    _check_secrets(recipe, folder)
    try:
        with told_to(lambda text: None), warnings_to(lambda text: None):  # the stages tell it again
            check_recipe(recipe, registry, RunDirectory(folder.root, writes=False), stop, options.quiet)
    except Stopped as stopped:
        if not claimed:
            folder.claim(recipe, options.force)
        raise _advised(stopped, folder) from stopped
    if not claimed:
        folder.claim(recipe, options.force)
        folder.sweep()


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


def _write_log(folder: RunDirectory, text: str) -> None:
    """Append a traceback to run.log, so that a user's terminal stays free of it."""
    try:
        with open(folder.root / "run.log", "a", encoding="utf-8") as file:
            file.write(mask(text) + "\n")
    except OSError as error:
        remark(f"run.log can't be written: {error.strerror}")
