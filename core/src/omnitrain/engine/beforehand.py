"""What must hold before the first stage begins, so that nothing is trained for a recipe that can't come to its end.

The dry run checks the same and shows more. What only an earlier stage's product can tell is not checked here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from omnitrain.api.config import Config, Use, UseEvaluator
from omnitrain.api.data import Data
from omnitrain.api.protocols import (
    BatchPlan,
    ChecksData,
    ChecksMachine,
    ChecksModel,
    Evaluator,
    MakesFeed,
    PlansStage,
    TellsArtifacts,
    TellsNeeds,
)
from omnitrain.api.run import Run
from omnitrain.engine.building import ComponentBuilder
from omnitrain.engine.settings import EvaluateConfig, FitConfig
from omnitrain.errors import EnvironmentFault, NotMadeYet, OmnitrainError, Unreachable, UsageError
from omnitrain.places import cache_folder
from omnitrain.plugins import Registry
from omnitrain.recipes import ResolvedRecipe, Stage, configs, uses
from omnitrain.recipes.sources import data_field, stage_data
from omnitrain.runs import Display, RunDirectory, StageRun, StopRequest

if TYPE_CHECKING:
    from torch import nn


def check_stage(stage: Stage, run: StageRun, registry: Registry) -> list[str]:
    """Check what takes no data: libraries, components, devices, and what the stage's own plan refuses; return its lines."""
    check_needs(stage)
    for _, use in uses(stage.config):
        if use.use is not None:
            component = registry.component(use.use, use.kind)
            registry.builder(component)
            registry.predictor(component)
    builder = registry.builder(stage.component)
    check_devices(stage)
    if not isinstance(builder, PlansStage):
        return []
    try:
        return list(builder.plan(stage.config, run))
    except NotMadeYet as error:
        return [f"not checked here: {error}"]


def check_needs(stage: Stage) -> None:
    """Refuse settings whose libraries are not installed.

    Raises EnvironmentFault that names the setting and what installs it.
    """
    for path, config in configs(stage.config):
        if not isinstance(config, TellsNeeds):
            continue
        for module, install in config.needs().items():
            if find_spec(module) is None:
                key = ".".join(map(str, (stage.name, *path)))
                raise EnvironmentFault(f"{key} needs {module}, which is not installed: pip install '{install}'.")


def check_machine(stage: Stage) -> None:
    """Ask the settings whether the machine has what they need. Raises EnvironmentFault with the setting.

    It comes behind the stage's own plan, which a dry run shows all the same.
    """
    for path, config in configs(stage.config):
        if isinstance(config, ChecksMachine):
            try:
                config.check_machine()
            except OmnitrainError as error:
                raise type(error)(f"{'.'.join(map(str, (stage.name, *path)))}.{error}") from error


def check_devices(stage: Stage) -> None:
    """Refuse a setting `device` that names none of this machine's. Raises UsageError or EnvironmentFault with the setting."""
    for path, config in configs(stage.config):
        if isinstance(name := getattr(config, "device", None), str):
            from omnitrain.engine.engine import choose_device

            try:
                choose_device(name)
            except OmnitrainError as error:
                raise type(error)(f"{'.'.join(map(str, (stage.name, *path, 'device')))}: {error}") from error


def awaited(config: Config | Use, recipe: ResolvedRecipe, folder: RunDirectory) -> str | None:
    """Return the stage whose product a field or its settings take and that has not run yet, or None."""
    found = [config] if isinstance(config, Use) else []
    inner = config if isinstance(config, Config) else config.config if config.is_resolved else None
    found += [use for _, use in uses(inner)] if inner is not None else []
    return next((stage for use in found if (stage := _awaited(use, recipe, folder)) is not None), None)


def _awaited(use: Use, recipe: ResolvedRecipe, folder: RunDirectory) -> str | None:
    if use.stage is None:
        return None
    record = folder.stage_record(use.stage)
    if record is not None and str(use.artifact) in record.artifacts:
        return None
    config = recipe.stage(use.stage).config
    field = stage_data(use.stage, lambda name: recipe.stage(name).config) or data_field(config)
    makes = isinstance(config, TellsArtifacts) and str(use.artifact) in config.artifacts()
    if use.kind != "data" or makes or "/" in str(use.source) or field is None:
        return use.stage
    return awaited(field, recipe, folder)


def is_finished(stage: str, folder: RunDirectory) -> bool:
    """Whether a stage has run to its end in this folder."""
    record = folder.stage_record(stage)
    return record is not None and record.status == "finished"


def check_evaluators(
    evaluators: Sequence[UseEvaluator],
    data: Data | None,
    facts: Mapping[str, Any],
    run: Run,
    unreached: list[str] | None = None,
) -> None:
    """Ask evaluators whether they can measure on data that is there.

    unreached: of a dry run, takes what could not be reached from here; without it that is a fault.
    Raises UsageError or DataError with the evaluator.
    """
    for use in evaluators:
        evaluator: Evaluator = run.build(use, facts)
        if isinstance(evaluator, ChecksData):
            try:
                evaluator.check_data(data, run)
            except OmnitrainError as error:
                if unreached is not None and isinstance(error, Unreachable):
                    unreached.append(f"the evaluator {use.label}: not checked here: {error}")
                    continue
                raise type(error)(f"{run.name}: the evaluator {use.label}: {error}") from error


def check_model(evaluators: Sequence[UseEvaluator], model: Any, facts: Mapping[str, Any], run: Run) -> None:
    """Ask evaluators whether they can measure a model as it was built. Raises UsageError with the evaluator."""
    for use in evaluators:
        evaluator: Evaluator = run.build(use, facts)
        if isinstance(evaluator, ChecksModel):
            try:
                evaluator.check_model(model, run)
            except OmnitrainError as error:
                raise type(error)(f"{run.name}: the evaluator {use.label}: {error}") from error


def check_watched(config: FitConfig, data: Data) -> None:
    """Refuse an early stop on what is never measured. Raises UsageError that lists what is, as far as it is known."""
    stop = config.fit.early_stop
    if stop is None:
        return
    has_split = config.fit.evaluate_batches > 0 and "valid" in data.splits()
    known = (["valid/loss"] if has_split else []) + [f"{use.label}/..." for use in config.evaluators]
    begins = [name.removesuffix("loss").removesuffix("...") for name in known]
    if not any(stop.metric.startswith(begin) and stop.metric != begin for begin in begins):
        measured = ", ".join(known) or "nothing: the data has no split 'valid', and there are no evaluators"
        raise UsageError(f"fit.early_stop.metric {stop.metric!r} is never measured; measured are {measured}.")


def check_evaluation(
    config: EvaluateConfig, run: StageRun, recipe: ResolvedRecipe, folder: RunDirectory, dry: bool = False
) -> list[str]:
    """Check the evaluators of a stage core/evaluate on its data; return what could not be checked.

    dry: data that can't be reached from here is no fault, only not checked.
    Raises whatever building the data and asking the evaluators raises.
    """
    use = config.data or run.model_data(config.model)
    waits = next((found for e in [use, *config.evaluators] if e is not None and (found := awaited(e, recipe, folder))), None)
    if waits is not None:
        return [f"not checked here: its evaluators, until stage {waits} has run"]
    unreached: list[str] = []
    if use is None:
        check_evaluators(config.evaluators, None, {}, run, unreached if dry else None)
    elif any(isinstance(run.build(evaluator, {}), (ChecksData, ChecksModel)) for evaluator in config.evaluators):
        try:
            data, facts = run.data(use)
        except Unreachable as error:
            if not dry:
                raise
            return [f"data: not checked here: {error}"]
        check_evaluators(config.evaluators, data, facts, run, unreached if dry else None)
        asks = config.data is None and any(isinstance(run.build(e, facts), ChecksModel) for e in config.evaluators)
        model = _promised_model(config.model, run, recipe, facts) if asks else None
        if model is not None:
            check_model(config.evaluators, model, facts, run)
    return unreached


def _promised_model(use: Use, run: StageRun, recipe: ResolvedRecipe, facts: Mapping[str, Any]) -> nn.Module | None:
    """Return what an earlier stage core/fit trains, without memory; None where that is not known beforehand."""
    import torch

    config = None if use.source is None else recipe.stage(str(use.stage)).config
    if not isinstance(config, FitConfig) or config.model.source is not None:
        return None
    try:
        with torch.device("meta"):
            model: nn.Module = run.build(config.model, facts)
    except OmnitrainError:  # the stage's own check tells it, where it has all that the model is built with
        return None
    return model


@dataclass
class Training:
    """What a training is made of, as far as it is known beforehand. model: on the meta device, without memory.

    lack: what this machine lacks for the data, for a dry run to tell last.
    """

    data: Any = None
    objective: Any = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    model: nn.Module | None = None
    notes: list[str] = field(default_factory=list)
    lack: EnvironmentFault | None = None


def check_training(
    config: FitConfig,
    run: StageRun,
    recipe: ResolvedRecipe,
    folder: RunDirectory,
    dry: bool = False,
    lack: EnvironmentFault | None = None,
) -> Training:
    """Check the data, objective, model and evaluators of a stage core/fit; the slow work of the data is done and kept.

    dry: data that can't be reached from here is no fault, only not checked, and what the machine lacks for it is kept, so
    that the model is known all the same. lack: what it was found to lack already; the data is then not asked.
    Raises whatever building them raises.
    """
    import torch

    from omnitrain.engine.batches import check_cuttable
    from omnitrain.engine.parts import prepare_data

    found = Training(lack=lack)
    waits = awaited(config.data, recipe, folder) or awaited(config.objective, recipe, folder)
    if waits is None and lack is None:
        try:
            found.data, found.objective, found.facts = prepare_data(config, run)
        except Unreachable as error:
            if not dry:
                raise
            found.notes.append(f"not checked here: {error}")
        except EnvironmentFault as error:
            if not dry:
                raise
            found.lack = error
    if found.data is not None:
        if config.train_split not in found.data.splits():
            splits = ", ".join(found.data.splits())
            raise UsageError(f"{run.name}.train_split: the data has no split {config.train_split!r}; it has {splits}.")
        data: Any = found.data
        if isinstance(data, MakesFeed):
            plan = BatchPlan(config.fit.batch_size, run.seed("data"))
            data.feed(config.train_split, plan, config.fit.accumulate, 0).close()
        elif config.fit.accumulate > 1:
            check_cuttable(found.data)
        there = [use for use in config.evaluators if awaited(use, recipe, folder) is None]
        check_evaluators(there, found.data, found.facts, run, found.notes if dry else None)
        check_watched(config, found.data)
    if (config.model.source is None or run.model_source is not None) and awaited(config.model, recipe, folder) is None:
        try:
            with torch.device("meta"):
                found.model = run.build(config.model, found.facts)
        except OmnitrainError as error:
            if found.data is not None:
                raise
            found.notes.append(f"not checked here: the model, before its data is there ({error})")
    if found.model is not None and found.data is not None:
        check_model(there, found.model, found.facts, run)
    return found


def check_recipe(recipe: ResolvedRecipe, registry: Registry, folder: RunDirectory, stop: StopRequest, quiet: bool) -> None:
    """Check all stages that are still to be run. The first one checks its own training when it begins, which is now.

    Raises what the first stage that can't run raises.
    """
    display, builder = _Bars(stop.raise_if_asked, quiet), ComponentBuilder(registry, folder, recipe)
    left = [stage for stage in recipe.stages if not is_finished(stage.name, folder)]
    runs = [StageRun(s.name, folder, recipe.seed, cache_folder(), builder, stop, display) for s in left]
    for stage, run in zip(left, runs, strict=True):
        run.model_source = builder.stage_model_source(stage)
        check_stage(stage, run, registry)
        check_machine(stage)
    for stage, run in zip(left, runs, strict=True):
        stop.raise_if_asked()
        if isinstance(stage.config, EvaluateConfig):
            check_evaluation(stage.config, run, recipe, folder)
        elif isinstance(stage.config, FitConfig) and stage is not left[0]:
            check_training(stage.config, run, recipe, folder)


class _Bars(Display):
    """Shows progress and no notes, which the stages say when they run."""

    def say(self, text: str) -> None:
        """Say nothing."""
