"""What this plugin holds."""

from __future__ import annotations

from typing import Literal

from omnitrain.api import Component, Plugin, Recipe, hookimpl
from omnitrain_eft.claims import CLAIMS

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
    api="1.0",
    paper="arXiv 2310.12962",
    components=(
        _part(
            "model",
            "composition",
            "A large base, small experts and their bases as one model, with dials.",
            "configs:CompositionConfig",
            "model:build",
            "omnitrain_eft.predictor:build_predictor",
        ),
        _part(
            "model",
            "causal",
            "Decoder-only models of any shape, for pairs of two sizes.",
            "configs:CausalModelConfig",
            "causal:build",
            _PREDICTOR,
        ),
        _part(
            "data", "facts", "Text about the standard library in mixed behaviour.", "configs:FactsConfig", "data:build_facts"
        ),
        _part("data", "dialogues", "Prompts with replies in parts.", "configs:DialoguesConfig", "data:build_dialogues"),
        _part(
            "data",
            "preferences",
            "Prompts with a better and a worse reply.",
            "configs:PreferencesConfig",
            "preferences:build_preferences",
        ),
        _part("objective", "dpo", "Direct preference optimisation.", "configs:DpoConfig", "objective:build"),
        _part(
            "stage",
            "compose",
            "Check models against each other, save them as one.",
            "configs:ComposeConfig",
            "stages:compose",
        ),
        _part(
            "evaluator", "grid", "Scale of pre-training x scale of fine-tuning.", "evaluation_configs:GridConfig", "grid:build"
        ),
        _part("evaluator", "frontier", "Two rewards interpolated.", "evaluation_configs:FrontierConfig", "frontier:build"),
        _part("evaluator", "shift-maps", "Which tokens change most.", "evaluation_configs:ShiftsConfig", "shifts:build"),
        _part(
            "evaluator",
            "throughput",
            "Tokens a second, plain and speculative.",
            "evaluation_configs:ThroughputConfig",
            "throughput:build",
        ),
        _part("evaluator", "judged", "Replies graded by judges.", "evaluation_configs:JudgedConfig", "judged:build"),
    ),
    recipes=(
        Recipe("tiny", "The whole method in seconds, for tests.", "omnitrain_eft:recipes/tiny.yaml"),
        Recipe("mini", "A pair of two sizes made from one text, composed and measured.", "omnitrain_eft:recipes/mini.yaml"),
        Recipe("speed", "Speculative decoding with a ten times larger base.", "omnitrain_eft:recipes/speed.yaml"),
        Recipe("paper", "Llama-2 7B to 70B with the paper's settings.", "omnitrain_eft:recipes/paper.yaml"),
    ),
    claims=CLAIMS,
    parity="omnitrain_eft.parity:ADAPTERS",
    bench="omnitrain_eft.bench:benches",
)


@hookimpl
def omnitrain_plugin() -> Plugin:
    """Describe this plugin."""
    return PLUGIN
