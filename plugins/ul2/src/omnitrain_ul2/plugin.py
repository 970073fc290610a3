"""What this plugin holds."""

from __future__ import annotations

from omnitrain.api import Component, Plugin, Recipe, hookimpl
from omnitrain_ul2.evidence.claims import CLAIMS

PLUGIN = Plugin(
    name="ul2",
    summary="UL2: one model from a mixture of denoisers, each announced by a mode token.",
    api="1.1",
    paper="arXiv 2205.05131",
    components=(
        Component("data", "denoising", "Any text under a mixture of denoisers, drawn per example, with mode tokens."),
        Component("evaluator", "cross-denoising", "Held-out loss on each denoiser, per token of text."),
        Component("evaluator", "samples", "What a model writes in each mode."),
        Component("evaluator", "tokens-seen", "Examples and tokens of each denoiser that training has used, on both sides."),
        Component("evaluator", "tasks", "Text-to-text tasks under every mode, fine-tuned or one-shot, with T5's metrics."),
        Component("stage", "gains", "Models side by side on text-to-text tasks, with the mean relative gain over anchors."),
        Component("stage", "compare", "Models side by side on every denoiser, with worst-case regret."),
    ),
    recipes=(
        Recipe("tiny", "The whole method in seconds, for tests."),
        Recipe("mini", "UL2 against span corruption on real text, in minutes."),
        Recipe("decoder", "A prefix decoder on the same mixture, in minutes."),
        Recipe("arm", "One objective of the comparison of objectives."),
        Recipe("ul2r", "Continue a causal LM with UL2R, in full and with LoRA."),
        Recipe("finetune", "Pre-train, fine-tune on two tasks, measure in every mode."),
        Recipe("paper", "The 20B model with the paper's settings."),
    ),
    claims=CLAIMS,
    parity=".evidence.parity:ADAPTERS",
    bench=".evidence.bench:benches",
)


@hookimpl
def omnitrain_plugin() -> Plugin:
    """Describe this plugin."""
    return PLUGIN
