"""What this plugin holds."""

from __future__ import annotations

from omnitrain.api import Component, Plugin, Recipe, hookimpl

PLUGIN = Plugin(
    name="l2m",
    summary="L2M: a decision transformer over domains learns new tasks by modulating its frozen weights.",
    api="1.1",
    paper="arXiv 2306.14884",
    components=(
        Component("data", "tasks", "Windows of trajectories of several tasks and domains in one space."),
        Component("model", "mddt", "A decision transformer of several domains, and thirteen ways to tune it."),
        Component("objective", "actions", "Cross entropy of action bins, and the pull of keys.", build=".objectives:build"),
        Component("evaluator", "cross-entropy", "Cross entropy of held-out actions, task by task."),
    ),
    recipes=(
        Recipe("tiny", "Pre-training on four worlds and L2M on a fifth in seconds, for tests."),
        Recipe("mini", "Full tuning and L2M on a new world, and what they keep of six others, in minutes."),
        Recipe("paper", "MT40 and DMC10 with the paper's settings, by path."),
    ),
    parity=".evidence.parity:ADAPTERS",
)


@hookimpl
def omnitrain_plugin() -> Plugin:
    """Describe this plugin."""
    return PLUGIN
