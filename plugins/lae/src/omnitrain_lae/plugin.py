"""What this plugin holds."""

from __future__ import annotations

from omnitrain.api import Component, Kind, Plugin, Recipe, hookimpl
from omnitrain_lae.evidence.claims import CLAIMS


def _component(kind: Kind, name: str, summary: str, config: str, build: str, predictor: str | None = None) -> Component:
    return Component(kind, name, summary, f"omnitrain_lae.{config}", f"omnitrain_lae.{build}", predictor)


def _recipe(name: str, summary: str) -> Recipe:
    return Recipe(name, summary, f"omnitrain_lae:recipes/{name}.yaml")


PLUGIN = Plugin(
    name="lae",
    summary="LAE: continual learning with any parameter-efficient tuning.",
    api="1.1",
    paper="arXiv 2303.10070",
    components=(
        _component("data", "images", "Labelled images from any source.", "configs.data:ImagesConfig", "data.images:build"),
        _component(
            "data",
            "class-incremental",
            "Any labelled data as tasks with disjoint classes.",
            "configs.data:ClassIncrementalConfig",
            "data.class_incremental:build",
        ),
        _component(
            "model",
            "vision",
            "ViT, DeiT, Swin and ConvNeXt of transformers.",
            "configs.data:VisionConfig",
            "models.vision:build",
            "omnitrain_lae.models.vision:build_predictor",
        ),
        _component(
            "model", "adapter", "Tuning method: adapters.", "configs.data:AdapterConfig", "models.learned:build_adapter"
        ),
        _component(
            "model",
            "conv-adapter",
            "Tuning method: 1x1-convolution adapters.",
            "configs.data:ConvAdapterConfig",
            "models.learned:build_conv_adapter",
        ),
        _component(
            "model", "lora", "Tuning method: LoRA on key and value.", "configs.data:LoraConfig", "models.learned:build_lora"
        ),
        _component("model", "prefix", "Tuning method: prefixes.", "configs.data:PrefixConfig", "models.learned:build_prefix"),
        _component(
            "model",
            "prompt-pool",
            "Tuning method: a pool of prompts in the manner of L2P.",
            "configs.data:PromptPoolConfig",
            "models.learned:build_prompt_pool",
        ),
        _component(
            "model",
            "learned",
            "What lae/continual leaves: backbone, experts and heads.",
            "configs.data:LearnedConfig",
            "models.learned:build_learned",
            "omnitrain_lae.models.learned:build_predictor",
        ),
        _component(
            "objective",
            "cross-entropy",
            "Cross entropy of a classifier.",
            "configs.data:CrossEntropyConfig",
            "objectives:build",
        ),
        _component(
            "evaluator",
            "accuracy",
            "Accuracy of a classifier, or of every expert.",
            "configs.data:AccuracyConfig",
            "evaluators.accuracy:build",
        ),
        _component(
            "stage",
            "scenario",
            "Draw a class order once, for several stages.",
            "configs.data:ScenarioConfig",
            "data.class_incremental:scenario",
        ),
        _component(
            "stage",
            "continual",
            "Learn tasks one after the other: Learning, Accumulation, Ensemble, and baselines.",
            "configs.stages:ContinualConfig",
            "stages.continual:continual",
        ),
        _component(
            "stage",
            "compare",
            "Continually learned models side by side.",
            "configs.stages:ComparisonConfig",
            "stages.continual:compare",
        ),
    ),
    recipes=(
        _recipe("tiny", "The whole method in seconds, for tests."),
        _recipe("mini", "LAE beside its baselines on handwritten digits, in minutes."),
        _recipe("methods", "Every method and ablation of the claims, on one stream of tasks."),
        _recipe("backbones", "Swin and ConvNeXt on the stream of the claims."),
        _recipe("omniglot", "LAE beside its baselines on Omniglot, by path."),
        _recipe("text", "A language model learns to classify sentences."),
        _recipe("cifar100", "CIFAR100 with the paper's settings, by path."),
        _recipe("imagenet-r", "ImageNet-R with the paper's settings, by path."),
        _recipe("domainnet", "DomainNet with the paper's settings, by path."),
        _recipe("paper", "Adapters on ViT-B, Swin-B and ConvNeXt-B with the paper's settings, by path."),
    ),
    claims=CLAIMS,
    parity="omnitrain_lae.evidence.parity:ADAPTERS",
    bench="omnitrain_lae.evidence.bench:benches",
)


@hookimpl
def omnitrain_plugin() -> Plugin:
    """Describe this plugin."""
    return PLUGIN
