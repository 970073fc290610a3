"""What this plugin holds."""

from __future__ import annotations

from omnitrain.api import Component, Kind, Plugin, Recipe, hookimpl
from omnitrain_vpt.evidence.claims import CLAIMS


def _component(kind: Kind, name: str, summary: str, config: str, build: str, predictor: str | None = None) -> Component:
    module = "configs.stages" if kind == "stage" else "configs.data"
    return Component(
        kind, name, summary, f"omnitrain_vpt.{module}:{config}", f"omnitrain_vpt.{build}",
        None if predictor is None else f"omnitrain_vpt.{predictor}",
    )  # fmt: skip


PLUGIN = Plugin(
    name="vpt",
    summary="Video PreTraining: learn to act by watching unlabelled video.",
    api="1.1",
    paper="arXiv 2206.11795",
    components=(
        _component(
            "data", "recordings", "Contractor recordings as windows or streams.", "RecordingsConfig", "data.recordings:build"
        ),
        _component("model", "policy", "The causal policy with a memory.", "PolicyConfig", "models.policy:build_policy"),
        _component(
            "model", "idm", "The inverse dynamics model.", "IdmConfig", "models.policy:build_idm", "models.policy:idm_predictor"
        ),
        _component(
            "objective", "cloning", "Joint actions of streams, memory carried.", "CloningConfig", "objectives:build_cloning"
        ),
        _component("objective", "inverse", "Factored actions of windows.", "InverseConfig", "objectives:build_inverse"),
        _component(
            "evaluator", "actions", "Accuracy and F1 per key, camera R2.", "ActionsConfig", "evaluators.actions:build_actions"
        ),
        _component(
            "evaluator", "likelihood", "Held-out NLL of a policy.", "LikelihoodConfig", "evaluators.actions:build_likelihood"
        ),
        _component(
            "evaluator",
            "episodes",
            "Achievement rates of played episodes, filmed.",
            "EpisodesConfig",
            "evaluators.episodes:build",
        ),
        _component("stage", "record", "Scripted play in the contractor format.", "RecordConfig", "stages.record:record"),
        _component("stage", "label", "Label video with an inverse dynamics model.", "LabelConfig", "stages.label:label"),
        _component("stage", "clean", "Keep the clean stretches of web video.", "CleanConfig", "stages.clean:clean"),
        _component(
            "stage", "reinforce", "Phasic policy gradient with a leash.", "ReinforceConfig", "stages.reinforce:reinforce"
        ),
        _component("stage", "ppo", "PPO of Stable-Baselines3 with a leash, the baseline.", "PpoConfig", "stages.ppo:ppo"),
    ),
    recipes=(
        Recipe("tiny", "The whole method in seconds, for tests.", "omnitrain_vpt:recipes/tiny.yaml"),
        Recipe("mini", "The whole method in minutes on the stand-in world.", "omnitrain_vpt:recipes/mini.yaml"),
        Recipe("crafter", "The whole method in hours on crafter's own world.", "omnitrain_vpt:recipes/crafter.yaml"),
        Recipe("paper", "The paper's scale, on Minecraft.", "omnitrain_vpt:recipes/paper.yaml"),
        Recipe("inverse", "Inverse dynamics models compared (claims C1, C2).", "omnitrain_vpt:recipes/inverse.yaml"),
        Recipe("chain", "The chain, policies compared (claims C3, C4, C7).", "omnitrain_vpt:recipes/chain.yaml"),
        Recipe("leash", "Reinforcement compared (claims C5, C6).", "omnitrain_vpt:recipes/leash.yaml"),
    ),
    claims=CLAIMS,
    bench="omnitrain_vpt.evidence.bench:benches",
    parity="omnitrain_vpt.evidence.parity:ADAPTERS",
)


@hookimpl
def omnitrain_plugin() -> Plugin:
    """Describe this plugin."""
    return PLUGIN
