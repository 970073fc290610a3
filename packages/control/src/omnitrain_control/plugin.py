"""What this package offers, described without importing it."""

from __future__ import annotations

from omnitrain.api import Component, Plugin, Recipe, hookimpl

PLUGIN = Plugin(
    name="control",
    summary="What the decision plugins share: recordings, action codecs, environments, rollouts, returns.",
    api="1.1",
    components=(
        Component("data", "episodes", "Recorded episodes as examples of action."),
        Component("data", "trajectories", "Steps or windows of trajectories in npz, HDF5, Minari, pickles of arrays."),
        Component("model", "mlp", "A perceptron that gives logits for every choice."),
        Component("model", "sb3", "A policy of Stable-Baselines3, also from its zip file."),
        Component("model", "scripted", "Meta-World's scripted policies, as players and experts."),
        Component("objective", "cloning", "Likelihood of recorded actions.", build=".objectives:build_cloning"),
        Component("evaluator", "rollouts", "Returns of played episodes.", build=".evaluators:build_rollouts"),
        Component("stage", "record", "Record episodes of a player."),
        Component("stage", "sb3", "Train PPO, SAC, TD3 or DQN of Stable-Baselines3."),
    ),
    recipes=(
        Recipe("tiny", "Filtered cloning in seconds, for tests."),
        Recipe("mini", "Filtered cloning twice over, from random play."),
        Recipe("expert", "PPO of Stable-Baselines3 learns, is recorded as an expert, and is imitated."),
    ),
    bench=".evidence.bench:benches",
)


@hookimpl
def omnitrain_plugin() -> Plugin:
    """Describe this package."""
    return PLUGIN
