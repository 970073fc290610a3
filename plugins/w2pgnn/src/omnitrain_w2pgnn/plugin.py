"""What this plugin holds."""

from __future__ import annotations

from omnitrain.api import Component, Plugin, Recipe, hookimpl
from omnitrain_w2pgnn.evidence.claims import CLAIMS

PLUGIN = Plugin(
    name="w2pgnn",
    summary="W2PGNN: whether, and on what, to pre-train graph neural networks.",
    api="1.1",
    paper="When to Pre-Train Graph Neural Networks? From Data Generation Perspective! (KDD 2023), arXiv 2303.16458",
    modules=("model", "objective"),
    components=(
        Component("data", "graphs", "Ego networks or whole graphs of a named source."),
        Component("data", "saved", "Graphs that a stage saved."),
        Component("data", "walks", "GCC: pairs of random-walk subgraphs around a node."),
        Component("data", "augmentations", "GraphCL: pairs of augmentations of a graph."),
        Component("data", "masked", "Graphs with hidden nodes and edges."),
        Component("model", "gin", "Graph isomorphism network over structural features."),
        Component("objective", "contrast", "Contrast within a batch: GCC end to end, GraphCL."),
        Component("objective", "moco", "GCC with a queue and a momentum encoder."),
        Component("objective", "masking", "Tell hidden nodes and edges from the rest."),
        Component("evaluator", "frozen", "Logistic regression on a frozen encoder's embeddings."),
        Component("stage", "feasibility", "How feasible pre-training is for a target."),
        Component("stage", "select", "Which candidates to pre-train on under a budget."),
        Component("stage", "finetune", "Fine-tune an encoder, by cross-validation."),
        Component("stage", "transfer", "Pre-train on every selection and measure."),
        Component("stage", "correlate", "Feasibility and baselines against measured gains."),
        Component("stage", "recovery", "Planted mixtures: is the truth found?"),
    ),
    recipes=(
        Recipe("tiny", "The whole method in seconds, for tests."),
        Recipe("mini", "Feasibility on embedded graphs beside real pre-training."),
        Recipe("airports", "Nine collections, three flight networks as targets."),
        Recipe("tudatasets", "Whole graphs: five TUDatasets against each other."),
        Recipe("recovery", "Planted mixtures, the claim of soundness."),
        Recipe("paper", "GCC at the paper's scale after a selection."),
    ),
    claims=CLAIMS,
    parity=".evidence.parity:ADAPTERS",
    bench=".evidence.bench:benches",
)


@hookimpl
def omnitrain_plugin() -> Plugin:
    """Describe this plugin."""
    return PLUGIN
