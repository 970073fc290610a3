"""What a training is made of: data, model and objective, built, prepared and checked against each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from omnitrain.api import BatchPlan, Data, ExtendsModel, FollowsModel, Objective, Prepares, Run, TellsFacts, TellsOrder
from omnitrain.api.fields import misfits
from omnitrain.engine.rng import isolated
from omnitrain.engine.settings import FitConfig
from omnitrain.errors import UsageError
from omnitrain.recipes import uses


@dataclass
class Parts:
    """What is trained, and on what.

    facts: what the data told the model. objective_use: the objective's address, for messages.
    """

    data: Data
    model: nn.Module
    objective: Objective
    facts: Mapping[str, Any] = field(default_factory=dict)
    objective_use: str = ""

    def ready(self, device: torch.device) -> None:
        """Bring everything to the device, and let the data have the model as training starts from it."""
        self.to(device)
        if isinstance(self.data, FollowsModel):
            self.data.follow(self.model)

    def to(self, device: torch.device) -> None:
        """Bring the model to the device, with what the data adds to it, and the modules that the objective holds.

        Those are references, in evaluation mode and without gradients.
        """
        if isinstance(self.data, ExtendsModel):
            self.data.extend(self.model)
        self.model.to(device)
        own = {id(module) for module in self.model.modules()}
        for module in held_modules(self.objective):
            if id(module) not in own:
                module.to(device).eval().requires_grad_(False)


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


def held_modules(objective: Objective) -> list[nn.Module]:
    """Return the modules that an objective has among its attributes, alone or in lists and mappings, or is itself."""
    if isinstance(objective, nn.Module):
        return [objective]
    found: list[Any] = []
    for value in getattr(objective, "__dict__", {}).values():
        found += value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else [value]
    return [value for value in found if isinstance(value, nn.Module)]


def prepare_data(config: FitConfig, run: Run) -> tuple[Data, Objective, dict[str, Any]]:
    """Build data and objective, check that they fit, and do the data's slow work. Returns the data's facts too.

    An objective is built before the slow work, to be checked, and again with the data's facts; one that holds a model is
    built once, behind it.
    """

    def build_objective(facts: Mapping[str, Any]) -> Objective:
        built: Objective = run.build(config.objective, facts)
        check_fields(data, built, config.data.use or str(config.data.source), config.objective.use or "?")
        return built

    data: Data = run.build(config.data)
    holds_model = config.objective.is_resolved and any(use.kind == "model" for _, use in uses(config.objective.config))
    objective = None if holds_model else build_objective({})
    if isinstance(data, Prepares):
        data.prepare(run.workspace, run)
    facts = dict(data.facts()) if isinstance(data, TellsFacts) else {}
    if facts or objective is None:
        objective = build_objective(facts)
    return data, objective, facts


def told_order(data: Data, config: FitConfig, run: Run) -> Mapping[str, str]:
    """Return what data says about how often a training sees what, by the names of its parts."""
    if not isinstance(data, TellsOrder):
        return {}
    return data.order(config.train_split, BatchPlan(config.fit.batch_size, run.seed("data")), config.fit.steps)


def build_parts(config: FitConfig, run: Run) -> Parts:
    """Build everything that a training needs; the model's initial weights come from the stream "model".

    Call `Parts.ready` before the parts are trained in another way than by core/fit or `Trainer`.
    """
    data, objective, facts = prepare_data(config, run)
    with isolated(run.seed("model")):
        model = run.build(config.model, facts)
    return Parts(data, model, objective, facts, config.objective.use or "")
