"""What this plugin holds."""

from __future__ import annotations

from typing import Literal

from omnitrain.api import Component, Plugin, Recipe, hookimpl
from omnitrain_eft.evidence.claims import CLAIMS

_PREDICTOR = "omnitrain_language.predictor:build_predictor"


def _part(
    kind: Literal["data", "model", "objective", "evaluator", "stage"],
    name: str,
    summary: str,
    config: str,
    build: str,
    predictor: str | None = None,
) -> Component:
    return Component(kind, name, summary, f"omnitrain_eft.{config}", f"omnitrain_eft.{build}", predictor)


PLUGIN = Plugin(
    name="eft",
    summary="Emulated fine-tuning: a large base plus what fine-tuning changed in a small model, while decoding.",
    api="1.1",
    paper="arXiv 2310.12962",
    components=(
        _part(
            "model",
            "composition",
            "A large base, small experts and their bases as one model, with dials.",
            "configs.models:CompositionConfig",
            "models.composition:build",
            "omnitrain_eft.models.predictor:build_predictor",
        ),
        _part(
            "model",
            "causal",
            "Decoder-only models of any shape, for pairs of two sizes.",
            "configs.models:CausalModelConfig",
            "models.causal:build",
            _PREDICTOR,
        ),
        _part(
            "data",
            "facts",
            "Text about the standard library in mixed behaviour.",
            "configs.models:FactsConfig",
            "data.facts:build_facts",
        ),
        _part(
            "data",
            "dialogues",
            "Prompts with replies in parts.",
            "configs.models:DialoguesConfig",
            "data.facts:build_dialogues",
        ),
        _part(
            "data",
            "preferences",
            "Prompts with a better and a worse reply.",
            "configs.models:PreferencesConfig",
            "data.preferences:build_preferences",
        ),
        _part("objective", "dpo", "Direct preference optimisation.", "configs.models:DpoConfig", "objectives:build"),
        _part(
            "stage",
            "compose",
            "Check models against each other, save them as one.",
            "configs.models:ComposeConfig",
            "stages:compose",
        ),
        _part(
            "evaluator",
            "grid",
            "Scale of pre-training x scale of fine-tuning.",
            "configs.evaluators:GridConfig",
            "evaluators.grid:build",
        ),
        _part(
            "evaluator",
            "frontier",
            "Two rewards interpolated.",
            "configs.evaluators:FrontierConfig",
            "evaluators.frontier:build",
        ),
        _part(
            "evaluator",
            "shift-maps",
            "Which tokens change most.",
            "configs.evaluators:ShiftsConfig",
            "evaluators.shift_maps:build",
        ),
        _part(
            "evaluator",
            "throughput",
            "Tokens a second, plain and speculative.",
            "configs.evaluators:ThroughputConfig",
            "evaluators.throughput:build",
        ),
        _part("evaluator", "judged", "Replies graded by judges.", "configs.evaluators:JudgedConfig", "evaluators.judged:build"),
    ),
    recipes=(
        Recipe("tiny", "The whole method in seconds, for tests.", "omnitrain_eft:recipes/tiny.yaml"),
        Recipe("mini", "A pair of two sizes made from one text, composed and measured.", "omnitrain_eft:recipes/mini.yaml"),
        Recipe("speed", "Speculative decoding with a ten times larger base.", "omnitrain_eft:recipes/speed.yaml"),
        Recipe("paper", "Llama-2 7B to 70B with the paper's settings.", "omnitrain_eft:recipes/paper.yaml"),
    ),
    claims=CLAIMS,
    parity="omnitrain_eft.evidence.parity:ADAPTERS",
    bench="omnitrain_eft.evidence.bench:benches",
)


@hookimpl
def omnitrain_plugin() -> Plugin:
    """Describe this plugin."""
    return PLUGIN
