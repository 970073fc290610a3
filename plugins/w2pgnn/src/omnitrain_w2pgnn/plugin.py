"""What this plugin holds."""

from __future__ import annotations

from omnitrain.api import Component, Kind, Plugin, Recipe, hookimpl
from omnitrain_w2pgnn.evidence.claims import CLAIMS


def _component(kind: Kind, name: str, summary: str, config: str, build: str) -> Component:
    settings = "omnitrain_w2pgnn.configs.stages" if kind == "stage" else "omnitrain_w2pgnn.configs.data"
    return Component(kind, name, summary, f"{settings}:{config}", f"omnitrain_w2pgnn.{build}")


COMPONENTS = (
    _component("data", "graphs", "Ego networks or whole graphs of a named source.", "GraphsConfig", "data.graphs:build_graphs"),
    _component("data", "saved", "Graphs that a stage saved.", "SavedGraphsConfig", "data.graphs:build_saved"),
    _component("data", "walks", "GCC: pairs of random-walk subgraphs around a node.", "WalksConfig", "data.views:build_walks"),
    _component(
        "data",
        "augmentations",
        "GraphCL: pairs of augmentations of a graph.",
        "AugmentationsConfig",
        "data.views:build_augmentations",
    ),
    _component("data", "masked", "Graphs with hidden nodes and edges.", "MaskedConfig", "data.views:build_masked"),
    _component("model", "gin", "Graph isomorphism network over structural features.", "GinConfig", "models:build_gin"),
    _component(
        "objective",
        "contrast",
        "Contrast within a batch: GCC end to end, GraphCL.",
        "ContrastConfig",
        "objectives:build_contrast",
    ),
    _component("objective", "moco", "GCC with a queue and a momentum encoder.", "MocoConfig", "objectives:build_moco"),
    _component(
        "objective", "masking", "Tell hidden nodes and edges from the rest.", "MaskingConfig", "objectives:build_masking"
    ),
    _component(
        "evaluator",
        "frozen",
        "Logistic regression on a frozen encoder's embeddings.",
        "FrozenConfig",
        "evaluators.frozen:build_frozen",
    ),
    _component(
        "stage",
        "feasibility",
        "How feasible pre-training is for a target.",
        "FeasibilityConfig",
        "stages.feasibility:feasibility",
    ),
    _component(
        "stage", "select", "Which candidates to pre-train on under a budget.", "SelectConfig", "stages.feasibility:select"
    ),
    _component(
        "stage", "finetune", "Fine-tune an encoder, by cross-validation.", "FinetuneStageConfig", "stages.feasibility:finetune"
    ),
    _component("stage", "transfer", "Pre-train on every selection and measure.", "TransferConfig", "stages.transfer:transfer"),
    _component(
        "stage",
        "correlate",
        "Feasibility and baselines against measured gains.",
        "CorrelateConfig",
        "stages.correlate:correlate",
    ),
    _component("stage", "recovery", "Planted mixtures: is the truth found?", "RecoveryConfig", "stages.recovery:recovery"),
)

PLUGIN = Plugin(
    name="w2pgnn",
    summary="W2PGNN: whether, and on what, to pre-train graph neural networks.",
    api="1.1",
    paper="When to Pre-Train Graph Neural Networks? From Data Generation Perspective! (KDD 2023), arXiv 2303.16458",
    components=COMPONENTS,
    recipes=(
        Recipe("tiny", "The whole method in seconds, for tests.", "omnitrain_w2pgnn:recipes/tiny.yaml"),
        Recipe("mini", "Feasibility on embedded graphs beside real pre-training.", "omnitrain_w2pgnn:recipes/mini.yaml"),
        Recipe("airports", "Nine collections, three flight networks as targets.", "omnitrain_w2pgnn:recipes/airports.yaml"),
        Recipe("tudatasets", "Whole graphs: five TUDatasets against each other.", "omnitrain_w2pgnn:recipes/tudatasets.yaml"),
        Recipe("recovery", "Planted mixtures, the claim of soundness.", "omnitrain_w2pgnn:recipes/recovery.yaml"),
        Recipe("paper", "GCC at the paper's scale after a selection.", "omnitrain_w2pgnn:recipes/paper.yaml"),
    ),
    claims=CLAIMS,
    parity="omnitrain_w2pgnn.evidence.parity:ADAPTERS",
    bench="omnitrain_w2pgnn.evidence.bench:benches",
)


@hookimpl
def omnitrain_plugin() -> Plugin:
    """Describe this plugin."""
    return PLUGIN
