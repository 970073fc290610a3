"""Golden vectors: from the input of a case to the output of the code that training uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from omnitrain_vpt.evidence.parity import actions, networks, reinforcement
from omnitrain_vpt.evidence.parity.values import Json

ADAPTERS: Mapping[str, Callable[[Json, Json], Json]] = {
    "action_mapping": actions.action_mapping,
    "band_mask": networks.band,
    "camera_quantizer": actions.camera_quantizer,
    "checkpoint_layout": networks.checkpoint_layout,
    "cursor_composite": actions.cursor_composite,
    "env_to_policy": actions.env_to_policy,
    "gae": reinforcement.gae,
    "idm_heads": networks.idm_heads,
    "jsonl_action": actions.jsonl_action,
    "loader_sequence": actions.loader_sequence,
    "masked_attention": networks.masked_attention,
    "memory_mask": networks.memory_masks,
    "policy_heads": networks.policy_heads,
    "ppg_sleep_loss": reinforcement.ppg_sleep_loss,
    "ppo_loss": reinforcement.ppo_loss,
    "relative_bias_bandify": networks.relative_bias,
    "reward_normalizer": reinforcement.reward_normalizer,
    "tiny_idm": networks.tiny_idm,
    "tiny_policy": networks.tiny_policy,
    "value_head_ewma": networks.value_head_ewma,
}
COMPARE = {"loader_sequence": actions.loader_difference}
TEST_ONLY = {"reward_normalizer": "the normalisation of rewards, which no stage of training uses"}
_FLOAT32 = (1e-5, 1e-5)
TOLERANCES = {
    # The outputs in these files are float32 of the official code.
    **dict.fromkeys(
        (
            "gae", "idm_heads", "masked_attention", "policy_heads", "ppg_sleep_loss", "ppo_loss", "relative_bias_bandify",
            "tiny_idm", "tiny_policy", "value_head_ewma",
        ),
        _FLOAT32,
    ),
    "camera_quantizer": (1e-12, 1e-12),
    "reward_normalizer": (1e-6, 1e-6),
}  # fmt: skip
