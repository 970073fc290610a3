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
        Component(
            kind="data",
            name="denoising",
            summary="Any text under a mixture of denoisers, drawn per example, with mode tokens.",
            config="omnitrain_ul2.configs.data:DenoisingConfig",
            build="omnitrain_ul2.data.denoising:build",
        ),
        Component(
            kind="evaluator",
            name="cross-denoising",
            summary="Held-out loss on each denoiser, per token of text.",
            config="omnitrain_ul2.configs.data:CrossDenoisingConfig",
            build="omnitrain_ul2.evaluators.samples:build_cross_denoising",
        ),
        Component(
            kind="evaluator",
            name="samples",
            summary="What a model writes in each mode.",
            config="omnitrain_ul2.configs.data:SamplesConfig",
            build="omnitrain_ul2.evaluators.samples:build_samples",
        ),
        Component(
            kind="evaluator",
            name="tokens-seen",
            summary="Examples and tokens of each denoiser that training has used, on both sides.",
            config="omnitrain_ul2.configs.data:TokensSeenConfig",
            build="omnitrain_ul2.evaluators.samples:build_tokens_seen",
        ),
        Component(
            kind="evaluator",
            name="tasks",
            summary="Text-to-text tasks under every mode, fine-tuned or one-shot, with T5's metrics.",
            config="omnitrain_ul2.configs.data:TasksConfig",
            build="omnitrain_ul2.stages.gains:build_tasks",
        ),
        Component(
            kind="stage",
            name="gains",
            summary="Models side by side on text-to-text tasks, with the mean relative gain over anchors.",
            config="omnitrain_ul2.configs.data:GainsConfig",
            build="omnitrain_ul2.stages.gains:gains",
        ),
        Component(
            kind="stage",
            name="compare",
            summary="Models side by side on every denoiser, with worst-case regret.",
            config="omnitrain_ul2.configs.data:CompareConfig",
            build="omnitrain_ul2.stages.compare:compare",
        ),
    ),
    recipes=(
        Recipe("tiny", "The whole method in seconds, for tests.", "omnitrain_ul2:recipes/tiny.yaml"),
        Recipe("mini", "UL2 against span corruption on real text, in minutes.", "omnitrain_ul2:recipes/mini.yaml"),
        Recipe("decoder", "A prefix decoder on the same mixture, in minutes.", "omnitrain_ul2:recipes/decoder.yaml"),
        Recipe("arm", "One objective of the comparison of objectives.", "omnitrain_ul2:recipes/arm.yaml"),
        Recipe("ul2r", "Continue a causal LM with UL2R, in full and with LoRA.", "omnitrain_ul2:recipes/ul2r.yaml"),
        Recipe("finetune", "Pre-train, fine-tune on two tasks, measure in every mode.", "omnitrain_ul2:recipes/finetune.yaml"),
        Recipe("paper", "The 20B model with the paper's settings.", "omnitrain_ul2:recipes/paper.yaml"),
    ),
    claims=CLAIMS,
    parity="omnitrain_ul2.evidence.parity:ADAPTERS",
    bench="omnitrain_ul2.evidence.bench:benches",
)


@hookimpl
def omnitrain_plugin() -> Plugin:
    """Describe this plugin."""
    return PLUGIN
