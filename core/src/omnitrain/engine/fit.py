"""The stage core/fit: train a model on data with an objective."""

from __future__ import annotations

from typing import Any

from omnitrain.api import Run, SavesAssets
from omnitrain.engine.beforehand import check_evaluators, check_model, check_watched
from omnitrain.engine.engine import Engine
from omnitrain.engine.loop import Extras, Loop, plan_batches
from omnitrain.engine.memory import explained_shortage
from omnitrain.engine.models import count_parameters
from omnitrain.engine.parts import build_parts, told_order
from omnitrain.engine.rng import seed_everything
from omnitrain.engine.rounds import training_feed
from omnitrain.engine.settings import FitConfig
from omnitrain.engine.validation import Validation
from omnitrain.runs.directory import ASSETS


def fit(config: FitConfig, run: Run) -> None:
    """Train, evaluate, and leave the artifact "model" (and "ema")."""
    settings = config.fit
    engine = Engine(settings.precision, settings.device, settings.compile)
    plan = plan_batches(settings, engine, run.seed("data"))
    engine.warn(run)
    parts = build_parts(config, run)
    parts.ready(engine.device)
    check_evaluators(config.evaluators, parts.data, parts.facts, run)
    check_model(config.evaluators, parts.model, parts.facts, run)
    check_watched(config, parts.data)
    assets = run.directory / ASSETS
    assets.mkdir(parents=True, exist_ok=True)
    if isinstance(parts.data, SavesAssets) and engine.is_main:
        parts.data.save_assets(assets)
    seed_everything(run.seed("training") + engine.rank)
    feed = training_feed(run, engine, parts, config.train_split, plan, settings)
    address = run.describe_model(config.model)["use"]

    def predictor() -> Any:
        return run.predictor(parts.model, address, assets)

    validation = Validation(run, parts, engine, settings, config.evaluators, predictor)
    validation.check_watched()
    loop = Loop(
        settings, run, engine, parts.model, parts.objective, feed, validation, Extras(objective_use=parts.objective_use)
    )
    told = told_order(parts.data, config, run)
    if told:
        run.event("order of the data", parts="; ".join(f"{name} {text}" for name, text in told.items()))
    every, trainable = count_parameters(parts.model)
    run.event("training", parameters=every, trainable=trainable, steps=settings.steps, device=str(engine.device))
    try:
        with explained_shortage(settings.batch_size // engine.world, settings.accumulate):
            loop.train()
    finally:
        feed.close()
    run.save_model(parts.model, config.model, data=config.data, facts=parts.facts, assets=assets)
    if loop.average is not None:
        with loop.average.in_place():
            run.save_model(parts.model, config.model, name="ema", data=config.data, facts=parts.facts, assets=assets)
    run.discard(ASSETS)
    engine.wait()
