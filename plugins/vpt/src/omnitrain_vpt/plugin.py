"""What this plugin holds."""

from __future__ import annotations

from omnitrain.api import Component, Plugin, Recipe, hookimpl
from omnitrain_vpt.evidence.claims import CLAIMS

PLUGIN = Plugin(
    name="vpt",
    summary="Video PreTraining: learn to act by watching unlabelled video.",
    api="1.1",
    paper="arXiv 2206.11795",
    components=(
        Component("data", "recordings", "Contractor recordings as windows or streams."),
        Component("model", "policy", "The causal policy with a memory."),
        Component("model", "idm", "The inverse dynamics model.", predictor=".models.idm:build_predictor"),
        Component("objective", "cloning", "Joint actions of streams, memory carried.", build=".objectives:build_cloning"),
        Component("objective", "inverse", "Factored actions of windows.", build=".objectives:build_inverse"),
        Component("evaluator", "actions", "Accuracy and F1 per key, camera R2."),
        Component("evaluator", "likelihood", "Held-out NLL of a policy."),
        Component("evaluator", "episodes", "Achievement rates of played episodes, filmed."),
        Component("stage", "record", "Scripted play in the contractor format."),
        Component("stage", "label", "Label video with an inverse dynamics model."),
        Component("stage", "clean", "Keep the clean stretches of web video."),
        Component("stage", "reinforce", "Phasic policy gradient with a leash."),
        Component("stage", "ppo", "PPO of Stable-Baselines3 with a leash, the baseline."),
    ),
    recipes=(
        Recipe("tiny", "The whole method in seconds, for tests."),
        Recipe("mini", "The whole method in minutes on the stand-in world."),
        Recipe("crafter", "The whole method in hours on crafter's own world."),
        Recipe("paper", "The paper's scale, on Minecraft."),
        Recipe("inverse", "Inverse dynamics models compared (claims C1, C2)."),
        Recipe("chain", "The chain, policies compared (claims C3, C4, C7)."),
        Recipe("leash", "Reinforcement compared (claims C5, C6)."),
    ),
    claims=CLAIMS,
    parity=".evidence.parity:ADAPTERS",
    bench=".evidence.bench:benches",
)


@hookimpl
def omnitrain_plugin() -> Plugin:
    """Describe this plugin."""
    return PLUGIN
