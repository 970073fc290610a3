"""What this plugin holds."""

from __future__ import annotations

from omnitrain.api import Component, Plugin, Recipe, hookimpl
from omnitrain_lae.evidence.claims import CLAIMS

PETS = {
    "adapter": "adapters.",
    "conv-adapter": "1x1-convolution adapters.",
    "lora": "LoRA on key and value.",
    "prefix": "prefixes.",
    "prompt-pool": "a pool of prompts in the manner of L2P.",
}
TRUNKS = "ViT, DeiT, Swin and ConvNeXt of transformers."
LEFT = "What lae/continual leaves: backbone, experts and heads."

PLUGIN = Plugin(
    name="lae",
    summary="LAE: continual learning with any parameter-efficient tuning.",
    api="1.1",
    paper="arXiv 2303.10070",
    components=(
        Component("data", "images", "Labelled images from any source."),
        Component("data", "class-incremental", "Any labelled data as tasks with disjoint classes."),
        Component("model", "vision", TRUNKS, predictor=".models.vision:build_predictor"),
        *(
            Component("model", name, f"Tuning method: {what}", build=f".models.tuning:build_{name.replace('-', '_')}")
            for name, what in PETS.items()
        ),
        Component("model", "learned", LEFT, predictor=".models.learned:build_predictor"),
        Component("objective", "cross-entropy", "Cross entropy of a classifier.", build=".objectives:build"),
        Component("evaluator", "accuracy", "Accuracy of a classifier, or of every expert."),
        Component("stage", "scenario", "Draw a class order once, for several stages."),
        Component("stage", "continual", "Learn tasks one after the other: Learning, Accumulation, Ensemble, and baselines."),
        Component("stage", "compare", "Continually learned models side by side."),
    ),
    recipes=(
        Recipe("tiny", "The whole method in seconds, for tests."),
        Recipe("mini", "LAE beside its baselines on handwritten digits, in minutes."),
        Recipe("methods", "Every method and ablation of the claims, on one stream of tasks."),
        Recipe("backbones", "Swin and ConvNeXt on the stream of the claims."),
        Recipe("omniglot", "LAE beside its baselines on Omniglot, by path."),
        Recipe("text", "A language model learns to classify sentences."),
        Recipe("cifar100", "CIFAR100 with the paper's settings, by path."),
        Recipe("imagenet-r", "ImageNet-R with the paper's settings, by path."),
        Recipe("domainnet", "DomainNet with the paper's settings, by path."),
        Recipe("paper", "Adapters on ViT-B, Swin-B and ConvNeXt-B with the paper's settings, by path."),
    ),
    claims=CLAIMS,
    parity=".evidence.parity:ADAPTERS",
    bench=".evidence.bench:benches",
)


@hookimpl
def omnitrain_plugin() -> Plugin:
    """Describe this plugin."""
    return PLUGIN
