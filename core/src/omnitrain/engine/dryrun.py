"""Check everything of a recipe that can be checked without training, and show what the model will see."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from omnitrain.api.fields import parse_field
from omnitrain.api.figures import Piece
from omnitrain.engine.beforehand import check_evaluation, check_machine, check_stage, check_training
from omnitrain.engine.building import ComponentBuilder
from omnitrain.engine.settings import EvaluateConfig, FitConfig
from omnitrain.errors import DataError, EnvironmentFault, OmnitrainError, PluginError, Stopped
from omnitrain.places import cache_folder
from omnitrain.plugins import Registry
from omnitrain.recipes import ResolvedRecipe, Stage, uses
from omnitrain.runs import Display, RunDirectory, StageRecord, StageRun, StopRequest
from omnitrain.runs.directory import COMPONENT_FILE
from omnitrain.runs.files import write_json
from omnitrain.runs.progress import duration

EXAMPLES = 3


@dataclass
class StageCheck:
    """What was found out about one stage. problems end the dry run with an error, notes do not.

    exit_code: that of a run which ends with the problem, 0 without one. examples: rendered rows, each {part: [pieces]}.
    parameters: (all, trainable).
    """

    name: str
    use: str
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    exit_code: int = 0
    parameters: tuple[int, int] | None = None
    memory_bytes: int | None = None
    checkpoint_bytes: int | None = None
    step_seconds: float | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    examples: list[Mapping[str, Sequence[Piece]]] = field(default_factory=list)


@dataclass
class DryRun:
    """The result of checking a recipe."""

    recipe: ResolvedRecipe
    stages: list[StageCheck]
    error: OmnitrainError | None = None

    @property
    def lines(self) -> list[str]:
        """What was found as lines of text, without the examples."""
        return [line for check in self.stages for line in _stage_lines(check, self.recipe)]

    @property
    def exit_code(self) -> int:
        """0, or the exit code of the first problem."""
        return 0 if self.error is None else self.error.exit_code

    def json(self) -> dict[str, Any]:
        """Return plain values for scripts."""
        return {"recipe": self.recipe.address, "ok": self.error is None, "stages": [asdict(stage) for stage in self.stages]}


class _NotedRun(StageRun):
    """A stage's run whose events are notes of the check: what data took of a user's files is seen before the run."""

    notes: list[str]
    seen: set[str]

    def event(self, name: str, **details: Any) -> None:
        """Note an event, once for all stages."""
        note = f"{name}: {', '.join(f'{k} {v}' for k, v in details.items())}" if details else name
        if note not in self.seen:
            self.seen.add(note)
            self.notes.append(note)


def dry_run(recipe: ResolvedRecipe, registry: Registry, out: Path | None = None, quiet: bool = False) -> DryRun:
    """Check every stage: data, batch fields against the objective, files, model on the meta device, space and time.

    The slow work of data (tokenising) is done, since it is cached for the run; nothing is trained. out: where the run
    would be written; its disk must have room for the checkpoints.
    """
    result = DryRun(recipe, [])
    with tempfile.TemporaryDirectory(prefix="omnitrain-") as scratch, StopRequest() as stop:
        folder = RunDirectory(Path(scratch))
        display = Display(stop.raise_if_asked, quiet)
        builder, seen = ComponentBuilder(registry, folder, recipe), set[str]()
        for stage in recipe.stages:
            check = StageCheck(stage.name, stage.use)
            result.stages.append(check)
            run = _NotedRun(stage.name, folder, recipe.seed, cache_folder(), builder, stop, display)
            run.notes, run.seen = check.notes, seen
            run.model_source = builder.stage_model_source(stage)
            try:
                with run:
                    _check_stage(stage, run, registry, recipe, folder, check)
                folder.write_stage(stage.name, StageRecord("finished", "", folder.made(stage.name)))
                _check_space(stage, out or Path.cwd(), check)
            except Stopped:
                raise
            except OmnitrainError as error:
                check.problems.append(str(error))
                check.exit_code = error.exit_code
                result.error = result.error or error
    return result


def _check_stage(
    stage: Stage, run: StageRun, registry: Registry, recipe: ResolvedRecipe, folder: RunDirectory, check: StageCheck
) -> None:
    for path, use in uses(stage.config):
        if use.source is not None:
            check.notes.append(f"{'.'.join(map(str, path))}: taken from stage {use.source} when that has run")
    lack = None
    try:
        check.notes += check_stage(stage, run, registry)
        check_machine(stage)
    except EnvironmentFault as error:
        if not isinstance(stage.config, FitConfig):
            raise
        lack = error
    if isinstance(stage.config, FitConfig):
        _check_fit(stage.config, run, recipe, folder, check, lack)
    elif isinstance(stage.config, EvaluateConfig):
        check.notes += check_evaluation(stage.config, run, recipe, folder, dry=True)


def _check_fit(
    config: FitConfig,
    run: StageRun,
    recipe: ResolvedRecipe,
    folder: RunDirectory,
    check: StageCheck,
    lack: EnvironmentFault | None,
) -> None:
    """Check a training. lack: what the machine was found to lack, raised when the model is counted, which needs none of it."""
    from omnitrain.api.protocols import MakesRounds
    from omnitrain.engine.devices import emulated_bf16
    from omnitrain.engine.engine import choose_device
    from omnitrain.engine.parts import told_order

    warning = None if lack is not None else emulated_bf16(config.fit.precision, choose_device(config.fit.device))
    if warning is not None:
        check.notes.append(warning)
    found = check_training(config, run, recipe, folder, dry=True, lack=lack)
    check.notes += found.notes
    in_rounds = isinstance(found.data, MakesRounds)
    if found.data is not None:
        check.fields = dict(found.data.batch)
        check.notes += [f"{name}: {text}" for name, text in told_order(found.data, config, run).items()]
        if not in_rounds:
            _show_examples(config, run, found.data, check)
    if found.model is not None:
        _count(config, found.model, check)
    if found.lack is not None:
        raise found.lack
    _promise_model(config, run, found.data, found.facts)
    small = check.parameters is not None and check.parameters[0] < 20_000_000
    if in_rounds:
        check.notes.append(f"the model makes its rows while it is trained, every {found.data.round_updates} updates anew")
    elif config.model.source is None and found.data is not None and small:
        _time_step(config, run, found.data, found.objective, found.facts, check)


def _count(config: FitConfig, model: Any, check: StageCheck) -> None:
    """Count what the model, which lies on the meta device, will take."""
    from omnitrain.engine.models import count_parameters

    every, trainable = count_parameters(model)
    check.parameters = (every, trainable)
    moments = {"adamw": 2, "adam": 2, "sgd": 1 if config.fit.optimiser.momentum else 0, "adafactor": 0}
    average = 1 if config.fit.ema_decay is not None else 0
    check.memory_bytes = 4 * (every + trainable * (1 + moments[config.fit.optimiser.name] + average))
    check.checkpoint_bytes = 4 * (every + trainable * (moments[config.fit.optimiser.name] + average))


def _promise_model(config: FitConfig, run: StageRun, data: Any, facts: Mapping[str, Any]) -> None:
    """Leave what is known of a model before it is trained, for checks of the stages that go on with it; weights are absent."""
    from omnitrain.api.protocols import SavesAssets

    if data is None or (config.model.source is not None and run.model_source is None):
        return
    run.directory.mkdir(parents=True, exist_ok=True)
    described = run.describe_model(config.model)
    component = {**described, "facts": dict(facts), "data": run.describe_data(config.data)}
    for name in ("model",) if config.fit.ema_decay is None else ("model", "ema"):
        with run.artifact(name, "model", folder=True, **described) as path:
            if isinstance(data, SavesAssets):
                data.save_assets(path)
            write_json(path / COMPONENT_FILE, component)


def _check_space(stage: Stage, out: Path, check: StageCheck) -> None:
    if check.checkpoint_bytes is None or not isinstance(stage.config, FitConfig):
        return
    free = _free_space(next(p for p in [out.absolute(), *out.absolute().parents] if p.exists()))
    wanted = check.checkpoint_bytes * (stage.config.fit.keep_checkpoints + 1)
    if wanted > free:
        check.notes.append(f"checkpoints need {_size(wanted)}, that disk has {_size(free)} left: give --out another one")


def _free_space(folder: Path) -> int:
    space = os.statvfs(folder)
    return space.f_bavail * space.f_frsize


def _show_examples(config: FitConfig, run: StageRun, data: Any, check: StageCheck) -> None:
    from omnitrain.api.protocols import BatchPlan, ExplainsBatches
    from omnitrain.engine.batches import make_feed

    rows = min(EXAMPLES, config.fit.batch_size)
    feed = make_feed(data, config.train_split, BatchPlan(rows, run.seed("data")))
    batches = feed.next()
    if batches is None:
        raise DataError(f"The split {config.train_split!r} of {config.data.use} gives no batch.")
    batch = batches[0]
    absent = [name for name, spec in data.batch.items() if name not in batch and not parse_field(spec).optional]
    if absent:
        raise PluginError(f"{config.data.use}: a batch lacks the declared fields {', '.join(absent)}.")
    if isinstance(data, ExplainsBatches):
        check.examples = [data.explain(batch, row) for row in range(rows)]
    else:
        check.notes.append("this data can't show its examples as text")


def _time_step(
    config: FitConfig, run: StageRun, data: Any, objective: Any, facts: Mapping[str, Any], check: StageCheck
) -> None:
    """Time one forward and backward pass of a small model; the first, slower one is not counted."""
    from omnitrain.api.protocols import BatchPlan, CarriesState
    from omnitrain.engine.batches import make_feed, to_device
    from omnitrain.engine.engine import Engine
    from omnitrain.engine.losses import LossCheck
    from omnitrain.engine.misfits import AT_FIRST
    from omnitrain.engine.parts import Parts
    from omnitrain.engine.rng import isolated

    if isinstance(objective, CarriesState):
        return
    with isolated(run.seed("model")):
        engine = Engine(config.fit.precision, config.fit.device)
        built = run.build(config.model, facts)
        Parts(data, built, objective).to(engine.device)
        model, losses = engine.prepare(built), LossCheck(objective, config.objective.use or "")
        feed = make_feed(data, config.train_split, BatchPlan(config.fit.batch_size, run.seed("data")), config.fit.accumulate)
        for _ in range(2):
            batches = feed.next() or []
            started = time.perf_counter()
            for batch in batches:
                try:
                    with engine.autocast():
                        loss = objective(model, to_device(batch, engine.device))
                except AT_FIRST as error:
                    losses.explain(error, model)
                    raise
                losses.loss(loss)
                engine.backward(loss.total)
            check.step_seconds = time.perf_counter() - started


def _size(amount: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    raise AssertionError


def _stage_lines(check: StageCheck, recipe: ResolvedRecipe) -> list[str]:
    lines = [f"{check.name} ({check.use})"]
    if check.parameters is not None:
        every, trainable = check.parameters
        lines.append(f"  parameters: {every:,}, trainable {trainable:,}")
    if check.memory_bytes is not None:
        lines.append(f"  memory for weights, gradients and optimiser: {_size(check.memory_bytes)}; activations come on top")
    if check.checkpoint_bytes is not None:
        lines.append(f"  one checkpoint: {_size(check.checkpoint_bytes)}")
    config = recipe.stage(check.name).config
    if check.step_seconds is not None and isinstance(config, FitConfig):
        total = duration(check.step_seconds * config.fit.steps)
        lines.append(f"  about {check.step_seconds * 1e3:.0f} ms a step here, {total} for {config.fit.steps} steps")
    if check.fields:
        lines.append("  batch: " + ", ".join(f"{k} {v}" for k, v in check.fields.items()))
    lines += [f"  {note}" for note in check.notes]
    lines += [f"  PROBLEM: {problem}" for problem in check.problems]
    return lines
