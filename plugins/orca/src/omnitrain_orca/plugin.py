"""What this plugin holds."""

from __future__ import annotations

from omnitrain.api import Component, Plugin, Recipe, hookimpl
from omnitrain_orca.evidence.claims import CLAIMS

PLUGIN = Plugin(
    name="orca",
    summary="Learning from explanations: sampled queries, staged teachers, exams.",
    api="1.1",
    paper="arXiv 2306.02707",
    components=(
        Component("stage", "sample", "Queries of FLAN's collections, with system messages."),
        Component("stage", "explain", "Responses of a teacher to sampled queries."),
        Component("evaluator", "agieval", "AGIEval's English multiple choice."),
        Component("evaluator", "bbh", "BIG-Bench Hard's 23 tasks."),
        Component("evaluator", "truthfulqa", "TruthfulQA's multiple choice."),
        Component("evaluator", "judged", "Responses graded beside references."),
        Component("evaluator", "reasoning", "Generated tasks kept from sampling."),
    ),
    recipes=(
        Recipe("tiny", "The chain in seconds, for tests."),
        Recipe("mini", "Progressive learning on generated tasks in minutes."),
        Recipe("paper", "LLaMA-13B with the paper's settings."),
    ),
    claims=CLAIMS,
    parity=".evidence.parity:ADAPTERS",
)


@hookimpl
def omnitrain_plugin() -> Plugin:
    """Describe this plugin."""
    return PLUGIN
