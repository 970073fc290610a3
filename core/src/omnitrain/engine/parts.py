"""What a training is made of: data, model and objective, built, prepared and checked against each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from omnitrain.api import BatchPlan, Data, FollowsModel, Objective, Prepares, Run, TellsFacts, TellsOrder
from omnitrain.api.fields import misfits
from omnitrain.engine.rng import isolated
from omnitrain.engine.settings import FitConfig
from omnitrain.errors import UsageError


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


def told_order(data: Data, config: FitConfig, run: Run) -> Mapping[str, str]:
    """Return what data says about how often a training sees what, by the names of its parts."""
    if not isinstance(data, TellsOrder):
        return {}
    return data.order(config.train_split, BatchPlan(config.fit.batch_size, run.seed("data")), config.fit.steps)


def build_parts(config: FitConfig, run: Run) -> Parts:
    """Build everything that a training needs; the model's initial weights come from the stream "model"."""
    data, objective, facts = prepare_data(config, run)
    with isolated(run.seed("model")):
        model = run.build(config.model, facts)
    if isinstance(data, FollowsModel):
        data.follow(model)
    return Parts(data, model, objective, facts, config.objective.use or "")
