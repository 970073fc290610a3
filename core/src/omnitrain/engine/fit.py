"""The stage core/fit: train a model on data with an objective."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from torch import nn

from omnitrain.api.fields import misfits
from omnitrain.api.protocols import BatchPlan, Data, FollowsModel, Objective, Prepares, SavesAssets, TellsFacts
from omnitrain.api.run import Run
from omnitrain.engine.batches import make_feed
from omnitrain.engine.engine import Engine
from omnitrain.engine.loop import Loop
from omnitrain.engine.memory import explained_shortage
from omnitrain.engine.models import count_parameters, save_model
from omnitrain.engine.rng import isolated, seed_everything
from omnitrain.engine.settings import FitConfig
from omnitrain.engine.validation import Validation
from omnitrain.errors import UsageError


@dataclasses.dataclass
class Parts:
    """What a training stage is made of, built and checked."""

    data: Data
    objective: Objective
    model: nn.Module
    facts: dict[str, Any]


def check_fields(data: Data, objective: Objective, data_name: str, objective_name: str) -> None:
    """Refuse data whose batches lack what the objective reads.

    Raises UsageError that names every missing or different field.
    """
    problems = misfits(data.batch, objective.needs)
    if problems:
        raise UsageError(
            f"The batches of {data_name} do not fit the objective {objective_name}: {'; '.join(problems)}. "
            f"{data_name} carries {', '.join(data.batch)}."
        )


def prepare_data(config: FitConfig, run: Run) -> tuple[Data, Objective, dict[str, Any]]:
    """Build data and objective, check that they fit, and do the data's slow work. Returns the data's facts too."""
    data: Data = run.build(config.data)
    objective: Objective = run.build(config.objective)
    check_fields(data, objective, config.data.use or str(config.data.source), config.objective.use or "?")
    if isinstance(data, Prepares):
        data.prepare(run.workspace, run)
    facts = dict(data.facts()) if isinstance(data, TellsFacts) else {}
    if facts:
        objective = run.build(config.objective, facts)
    return data, objective, facts


def build_parts(config: FitConfig, run: Run) -> Parts:
    """Build everything that a training stage needs; the model's initial weights come from the stream "model"."""
    data, objective, facts = prepare_data(config, run)
    with isolated(run.seed("model")):
        model = run.build(config.model, facts)
    if isinstance(data, FollowsModel):
        data.follow(model)
    return Parts(data, objective, model, facts)


def fit(config: FitConfig, run: Any) -> None:
    """Train, evaluate, and leave the artifact "model" (and "ema")."""
    settings = config.fit
    engine = Engine(settings.precision, settings.device, settings.compile)
    if settings.batch_size % engine.world:
        raise UsageError(
            f"fit.batch_size {settings.batch_size} can't be shared by {engine.world} processes; choose a multiple."
        )
    parts = build_parts(config, run)
    assets = run.directory / "assets"
    assets.mkdir(parents=True, exist_ok=True)
    if isinstance(parts.data, SavesAssets) and engine.is_main:
        parts.data.save_assets(assets)
    seed_everything(run.seed("training") + engine.rank)
    plan = BatchPlan(settings.batch_size // engine.world, run.seed("data"), engine.rank, engine.world)
    feed = make_feed(parts.data, config.train_split, plan, settings.accumulate, settings.workers)
    validation = Validation(config, run, parts, engine, assets)
    loop = Loop(settings, run, engine, parts.model, parts.objective, feed, validation)
    every, trainable = count_parameters(parts.model)
    run.event("training", parameters=every, trainable=trainable, steps=settings.steps, device=str(engine.device))
    try:
        with explained_shortage(settings.batch_size // engine.world, settings.accumulate):
            loop.run()
    finally:
        feed.close()
    if engine.is_main:
        _save(config, run, parts, loop, assets)
    engine.wait()


def _save(config: FitConfig, run: Any, parts: Parts, loop: Loop, assets: Path) -> None:
    described = run.describe_model(config.model)
    data = run.describe_data(config.data)
    component = {**described, "facts": parts.facts, "data": data}
    with run.artifact("model", "model", **described) as path:
        save_model(parts.model, path, component)
        _copy(assets, path)
    if loop.average is not None:
        loop.average.swap()
        with run.artifact("ema", "model", **described) as path:
            save_model(parts.model, path, component)
            _copy(assets, path)
        loop.average.swap()
    run.discard("assets")


def _copy(source: Path, target: Path) -> None:
    import shutil

    shutil.copytree(source, target, dirs_exist_ok=True)
