"""What this plugin holds."""

from __future__ import annotations

from omnitrain.api import Component, Plugin, Recipe, hookimpl
from omnitrain_omnimol.evidence.claims import CLAIMS

PLUGIN = Plugin(
    name="omnimol",
    summary="Omni-Mol: one model for molecular tasks, from instructions, SELFIES and graphs.",
    api="1.1",
    paper="arXiv 2502.01074",
    modules=("objective",),
    components=(
        Component("data", "tasks", "Questions and answers of molecular tasks, with graphs."),
        Component("model", "model", "A Llama-style model that reads graphs, with adapters and experts."),
        Component("objective", "answers", "Cross entropy at answers, and the balance of experts."),
    ),
    recipes=(
        Recipe("tiny", "The whole method in seconds, for tests."),
        Recipe("mini", "One model for seven tasks, in minutes."),
        Recipe("ranks", "Gradient norms at two ranks, for a claim."),
        Recipe("paper", "The paper's model and settings."),
    ),
    claims=CLAIMS,
    parity=".evidence.parity:ADAPTERS",
)


@hookimpl
def omnitrain_plugin() -> Plugin:
    """Describe this plugin."""
    return PLUGIN
