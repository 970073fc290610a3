"""From settings to tuning methods and learners; also the model that `lae/continual` leaves behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from omnitrain.api import Context
from omnitrain.errors import UsageError
from omnitrain_lae.configs.data import (
    AdapterConfig,
    ConvAdapterConfig,
    LearnedConfig,
    LoraConfig,
    PrefixConfig,
    PromptPoolConfig,
)
from omnitrain_lae.models.backbone import Backbone, Pooling
from omnitrain_lae.models.learner import Learner
from omnitrain_lae.pets.adapter import AdapterPet, ConvAdapterPet
from omnitrain_lae.pets.base import Pet
from omnitrain_lae.pets.layouts import find_blocks
from omnitrain_lae.pets.lora import LoraPet
from omnitrain_lae.pets.pool import PromptPoolPet
from omnitrain_lae.pets.prefix import PrefixPet

FIRST_BLOCKS = {"tokens": 5, "swin": 10, "maps": 15}
UNSET: tuple[int, ...] = ()


def build_adapter(config: AdapterConfig, context: Context) -> AdapterPet:
    """Make the method `lae/adapter`."""
    return AdapterPet(config.rank, _numbers(config.blocks), config.mode, config.scale)


def build_conv_adapter(config: ConvAdapterConfig, context: Context) -> ConvAdapterPet:
    """Make the method `lae/conv-adapter`. Raises UsageError for a mode that goes around no residual block."""
    return ConvAdapterPet(config.rank, _numbers(config.blocks), config.mode, config.scale)


def build_lora(config: LoraConfig, context: Context) -> LoraPet:
    """Make the method `lae/lora`."""
    return LoraPet(config.rank, _numbers(config.blocks), config.scale)


def build_prefix(config: PrefixConfig, context: Context) -> PrefixPet:
    """Make the method `lae/prefix`."""
    return PrefixPet(config.length, _numbers(config.blocks), config.compensated, config.scale)


def build_prompt_pool(config: PromptPoolConfig, context: Context) -> PromptPoolPet:
    """Make the method `lae/prompt-pool`."""
    return PromptPoolPet(config.pool, config.length, config.top, config.pull)


def _numbers(blocks: list[int] | None) -> Sequence[int]:
    """Return the block numbers; nothing stands for the paper's places, which depend on the backbone. Raises UsageError."""
    if blocks is None:
        return UNSET
    if not blocks or sorted(set(blocks)) != blocks:
        raise UsageError(f"blocks: expected block numbers in rising order, each once, such as [0, 1, 2]; found {blocks}.")
    return tuple(blocks)


def paper_blocks(trunk: nn.Module) -> tuple[int, ...]:
    """Return the places of the paper: blocks 0-4 of ViT and DeiT, 0-9 of Swin, 0-14 of ConvNeXt, as far as there are."""
    blocks = find_blocks(trunk)
    kind = getattr(getattr(trunk, "config", None), "model_type", "")
    layout = "maps" if blocks[0].attention is None else "swin" if "swin" in str(kind) else "tokens"
    return tuple(range(min(FIRST_BLOCKS[layout], len(blocks))))


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


def build_learned(config: LearnedConfig, context: Context) -> Learner:
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
        from omnitrain_lae.paper.ensemble import ensemble_scores

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
