"""Model `lae/learned`: what `lae/continual` leaves behind. Also how a method is put on a backbone, before and after."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from omnitrain.api import Context
from omnitrain.errors import UsageError
from omnitrain_lae.configs.models import LearnedConfig
from omnitrain_lae.models.backbone import Backbone, Pooling
from omnitrain_lae.models.learner import Learner
from omnitrain_lae.paper.ensemble import ensemble_scores
from omnitrain_lae.paper.places import paper_blocks
from omnitrain_tuning.methods import Pet


def make_learner(
    model: nn.Module,
    pet: Pet | None,
    pooling: Pooling = "auto",
    feature_module: str | None = None,
    tune_backbone: bool = False,
    width: int | None = None,
) -> Learner:
    """Put a tuning method on a backbone. Raises UsageError where model and method do not fit."""
    backbone = Backbone(model, pooling, feature_module)
    if pet is not None and not hasattr(pet, "attach"):
        raise UsageError(f"pet: {type(pet).__name__} is no tuning method; use lae/adapter, lae/lora, lae/prefix or the like.")
    if pet is not None and not pet.blocks:
        pet.blocks = paper_blocks(backbone.trunk if backbone.trunk is not None else backbone.model)
    return Learner(backbone, pet, width, tune_backbone)


def backbone_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a backbone needs to know of the data: all but the classes, since heads are ours."""
    return {name: value for name, value in facts.items() if name not in ("classes", "class_names", "task_sizes")}


def build(config: LearnedConfig, context: Context) -> Learner:
    """Make the model `lae/learned` with the shape that it was saved with; its weights come from its folder."""
    model = context.build(config.backbone, backbone_facts(context.facts))
    pet = None if config.pet is None else context.build(config.pet)
    learner = make_learner(model, pet, config.pooling, config.feature_module, False, config.width)
    for classes in config.classes:
        learner.add_head(classes)
    if config.offline:
        learner.start_offline(config.offline)
    return learner


class ExpertPredictor:
    """What evaluators ask of a continually learned model. decision: see `omnitrain_lae.paper.ensemble`."""

    def __init__(self, learner: Learner) -> None:
        self.learner = learner

    def classify(self, batch: Mapping[str, Any]) -> Tensor:
        """Return the ensemble's scores float[batch, classes seen]."""
        return ensemble_scores(self.expert_logits(batch))

    def expert_logits(self, batch: Mapping[str, Any]) -> Tensor:
        """Return logits float[experts, batch, classes seen], the online expert first, from one pass."""
        with torch.no_grad():
            return self.learner.expert_logits(batch)

    def expert_names(self) -> list[str]:
        """Name the experts in that order."""
        return self.learner.expert_names()


def build_predictor(learner: Learner, directory: Path, context: Context) -> ExpertPredictor:
    """Wrap a learner for evaluators."""
    return ExpertPredictor(learner)
