"""Golden vectors of reinforcement: advantages, reward normalisation, losses of both phases."""

from __future__ import annotations

import torch
from torch import Tensor

from omnitrain_control.returns import RewardNormaliser, generalised_advantages
from omnitrain_vpt.evidence.parity.values import Json, array, floats, plain
from omnitrain_vpt.models.network.heads import entropy, kl_divergence, log_prob
from omnitrain_vpt.paper.phasic import policy_loss, sleep_loss, value_loss


def gae(case: Json, shared: Json) -> Json:
    """Generalised advantages."""
    rewards, values, first = (array(case[name], "float64") for name in ("reward", "vpred", "first"))
    advantages, targets = generalised_advantages(rewards, values, first, case["gamma"], case["lam"])
    return {"adv": advantages.tolist(), "vtarg": targets.tolist()}


def reward_normalizer(case: Json, shared: Json) -> Json:
    """Reward normalisation, chunk after chunk."""
    normaliser = RewardNormaliser(case["num_envs"], case["gamma"], case["cliprew"], case["epsilon"], case["initial_count"])
    chunks = []
    for chunk in case["chunks"]:
        normalised = normaliser(array(chunk["reward"], "float64"), array(chunk["first"], "float64"))
        chunks.append(
            {
                "normalised": normalised.tolist(),
                "mean": normaliser.mean,
                "var": normaliser.variance,
                "count": normaliser.count,
            }
        )
    return {"chunks": chunks}


def _categorical(logits: Tensor) -> dict[str, Tensor]:
    return {"action": torch.log_softmax(logits, -1)[..., None, :]}


def ppo_loss(case: Json, shared: Json) -> Json:
    """The wake phase's losses."""
    log_probs = _categorical(floats(case["logits"]))
    chosen = log_prob(log_probs, {"action": torch.tensor(case["actions"])[..., None]})
    spread = entropy(log_probs)
    loss = policy_loss(
        chosen, floats(case["old_logp"]), floats(case["adv"]), spread, case["clip_param"], case["entcoef"], case["kl_penalty"]
    )
    return {
        "loss_pi": plain(loss.total),
        "loss_vf": plain(value_loss(floats(case["vpred"]), floats(case["vtarg"]), case["vfcoef"])),
        "entropy": plain(spread.mean()),
        "negent": plain(loss.negative_entropy),
        "pg": plain(loss.policy_gradient),
        "pi_kl": plain(loss.kl_penalty),
        "clipfrac": plain(loss.clip_fraction),
        "approxkl": plain(loss.approximate_kl),
    }


def ppg_sleep_loss(case: Json, shared: Json) -> Json:
    """The sleep phase's losses."""
    distance = kl_divergence(_categorical(floats(case["old_logits"])), _categorical(floats(case["new_logits"])))
    targets = floats(case["vtarg"])
    loss = sleep_loss(distance, floats(case["vpred_aux"]), targets, floats(case["vpred_true"]), case["kl_coef"])
    assert loss.true_value is not None
    return {
        "pol_distance": plain(loss.distance),
        "vf_aux": plain(loss.auxiliary_value),
        "vf_true": plain(loss.true_value),
        "total": plain(loss.total),
    }
