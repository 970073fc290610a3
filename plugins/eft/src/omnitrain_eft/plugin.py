"""What this plugin holds."""

from __future__ import annotations

from omnitrain.api import Component, Plugin, Recipe, hookimpl
from omnitrain_eft.evidence.claims import CLAIMS

COMPOSED = ".models.predictor:build_predictor"
ALONE = "omnitrain_language.predictor:build_predictor"

PLUGIN = Plugin(
    name="eft",
    summary="Emulated fine-tuning: a large base plus what fine-tuning changed in a small model, while decoding.",
    api="1.1",
    paper="arXiv 2310.12962",
    modules=("stage",),
    components=(
        Component(
            "model",
            "composition",
            "A large base, small experts and their bases as one model, with dials.",
            predictor=COMPOSED,
        ),
        Component(
            "model",
            "causal",
            "Decoder-only models of any shape, for pairs of two sizes.",
            ".configs.models:ShapedCausalConfig",
            predictor=ALONE,
        ),
        Component("data", "facts", "Text about the standard library in mixed behaviour."),
        Component("data", "dialogues", "Prompts with replies in parts."),
        Component("data", "preferences", "Prompts with a better and a worse reply."),
        Component("stage", "compose", "Check models against each other, save them as one."),
        Component("evaluator", "grid", "Scale of pre-training x scale of fine-tuning."),
        Component("evaluator", "frontier", "Two rewards interpolated."),
        Component("evaluator", "shift-maps", "Which tokens change most."),
        Component("evaluator", "throughput", "Tokens a second, plain and speculative."),
        Component("evaluator", "judged", "Replies graded by judges."),
    ),
    recipes=(
        Recipe("tiny", "The whole method in seconds, for tests."),
        Recipe("mini", "A pair of two sizes made from one text, composed and measured."),
        Recipe("speed", "Speculative decoding with a ten times larger base."),
        Recipe("paper", "Llama-2 7B to 70B with the paper's settings."),
    ),
    claims=CLAIMS,
    parity=".evidence.parity:ADAPTERS",
    bench=".evidence.bench:benches",
)


@hookimpl
def omnitrain_plugin() -> Plugin:
    """Describe this plugin."""
    return PLUGIN
