"""What this package offers, described without importing it."""

from __future__ import annotations

from omnitrain.api import Component, Kind, Plugin, Recipe, hookimpl


def _component(kind: Kind, name: str, summary: str, config: str, build: str) -> Component:
    return Component(kind, name, summary, f"omnitrain_control.configs:{config}", f"omnitrain_control.{build}")


PLUGIN = Plugin(
    name="control",
    summary="What the decision plugins share: recordings, action codecs, environments, rollouts, returns, replay.",
    api="1.0",
    components=(
        _component("data", "episodes", "Recorded episodes as examples of action.", "EpisodesConfig", "data:build"),
        _component("model", "mlp", "A perceptron that gives logits for every choice.", "MlpConfig", "model:build_mlp"),
        _component("objective", "cloning", "Likelihood of recorded actions.", "CloningConfig", "model:build_cloning"),
        _component("evaluator", "rollouts", "Returns of played episodes.", "RolloutsConfig", "stages:build_rollouts"),
        _component("stage", "record", "Record episodes of a player.", "RecordConfig", "stages:record"),
    ),
    recipes=(
        Recipe("tiny", "Filtered cloning in seconds, for tests.", "omnitrain_control:recipes/tiny.yaml"),
        Recipe("mini", "Filtered cloning twice over, from random play.", "omnitrain_control:recipes/mini.yaml"),
    ),
)


@hookimpl
def omnitrain_plugin() -> Plugin:
    """Describe this package."""
    return PLUGIN
