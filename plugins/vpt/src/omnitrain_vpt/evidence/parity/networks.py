"""Golden vectors of the networks: masks, attention, heads, whole models, names and shapes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from omnitrain_vpt.evidence.parity.values import Json, floats, plain, weights_of
from omnitrain_vpt.models.network.architecture import Architecture
from omnitrain_vpt.models.network.attention import MaskedAttention, Memory, band_mask, bandify, memory_mask
from omnitrain_vpt.models.network.heads import ActionHeads, ValueHead, entropy, kl_divergence, likeliest, log_prob
from omnitrain_vpt.models.network.policy import InverseDynamics, MinecraftPolicy


def band(case: Json, shared: Json) -> Json:
    """The band mask."""
    return {"mask": plain(band_mask(case["t"], case["T"], case["maxlen"]).long())}


def relative_bias(case: Json, shared: Json) -> Json:
    """Basis functions spread over pairs."""
    return {"D_ntT": plain(bandify(floats(case["b_nd"]), case["t"], case["T"]))}


def memory_masks(case: Json, shared: Json) -> Json:
    """Masks chunk after chunk."""
    firsts = case["first_per_chunk"]
    state = torch.zeros(len(firsts[0]), case["maxlen"], dtype=torch.bool)
    chunks = []
    for first in firsts:
        mask, state = memory_mask(torch.tensor(first, dtype=torch.bool), state, case["t"])
        chunks.append({"mask": plain(mask.long()), "state_mask": plain(state[:, None].long())})
    return {"chunks": chunks}


def masked_attention(case: Json, shared: Json) -> Json:
    """Attention with its memory, chunk after chunk."""
    layer = MaskedAttention(case["x_size"], case["heads"], case["maxlen"], case["use_muP_factor"])
    layer.load_state_dict({n.removeprefix("orc_block."): v for n, v in weights_of(case["weights"]).items()})
    chunks = []
    memory: Memory | None = None
    state = torch.zeros(0)
    causal = case["mask"] == "clipped_causal"
    for chunk in case["chunks"]:
        x = floats(chunk["x"])
        if memory is None:
            empty = x.new_zeros(len(x), case["maxlen"], case["x_size"])
            memory, state = Memory(empty, empty), torch.zeros(len(x), case["maxlen"], dtype=torch.bool)
        mask = None
        if causal:
            mask, state = memory_mask(torch.tensor(chunk["first"], dtype=torch.bool)[:, 0], state, x.shape[1])
        y, memory = layer(x, mask, memory)
        shown = plain(state[:, None].long()) if causal else None
        chunks.append({"y": plain(y), "state_mask": shown, "cached_K": plain(memory.keys)})
    return {"chunks": chunks}


def _heads(weights: Mapping[str, Tensor], choices: Mapping[str, int], temperature: float) -> ActionHeads:
    sizes = {name.split(".")[0]: value.shape for name, value in weights.items() if name.endswith("weight")}
    heads = {name: (choices.get(name, 1), shape[0] // choices.get(name, 1)) for name, shape in sizes.items()}
    module = ActionHeads(next(iter(sizes.values()))[1], heads, temperature)
    module.load_state_dict(dict(weights))
    return module


def policy_heads(case: Json, shared: Json) -> Json:
    """Heads of the joint action: log-probabilities, entropy, KL."""
    weights, others = weights_of(case["weights"]), weights_of(case["weights_other"])
    x = floats(case["x"])
    masks = None
    if case["buttons_mask"] is not None:
        masks = {"buttons": torch.tensor(case["buttons_mask"], dtype=torch.bool)}
    own = _heads(weights, {}, case["temperature"])(x, masks)
    other = _heads(others, {}, case["temperature"])(x)
    actions = {name: torch.tensor(values).reshape(own[name].shape[:-1]) for name, values in case["actions"].items()}
    chosen = log_prob(own, actions)
    return {
        "log_probs": {name: plain(values) for name, values in own.items()},
        "logprob_of_action": plain(chosen),
        "nll_mean": plain(-chosen.mean()),
        "entropy": plain(entropy(own)),
        "kl_self_other": plain(kl_divergence(own, other)[..., None]),
        "argmax": {name: plain(values) for name, values in likeliest(own).items()},
    }


def idm_heads(case: Json, shared: Json) -> Json:
    """Heads of the factored action."""
    weights = weights_of(case["weights"])
    buttons = weights["buttons.linear_layer.weight"].shape[0] // 2
    log_probs = _heads(weights, {"buttons": buttons, "camera": 2}, case["temperature"])(floats(case["x"]))
    actions = {name: torch.tensor(values) for name, values in case["actions"].items()}
    return {
        "logprob_of_action": plain(log_prob(log_probs, actions)),
        "argmax": {name: plain(values) for name, values in likeliest(log_probs).items()},
        "entropy": plain(entropy(log_probs)),
    }


def value_head_ewma(case: Json, shared: Json) -> Json:
    """The value head and its moving statistics, step after step."""
    weight, bias = floats(case["weights"]["weight"]), floats(case["weights"]["bias"])
    head = ValueHead(weight.shape[1], case["beta"], case["epsilon"])
    head.linear.load_state_dict({"weight": weight, "bias": bias})
    steps = []
    for step in case["steps"]:
        target = floats(step["target"])
        prediction = head(floats(step["x"]))
        before = head.normalizer.denormalise(prediction)
        loss = head.loss(prediction, target).mean()
        steps.append(
            {
                "pred_normalised": plain(prediction),
                "denormalised_before_update": plain(before),
                "loss": plain(loss),
                "running_mean": plain(head.normalizer.running_mean),
                "running_mean_sq": plain(head.normalizer.running_mean_sq),
                "debiasing_term": plain(head.normalizer.debiasing_term),
            }
        )
    return {"steps": steps}


def tiny_policy(case: Json, shared: Json) -> Json:
    """A whole policy, chunk after chunk."""
    weights = weights_of(case["weights"])
    heads = {n: (1, weights[f"pi_head.{n}.linear_layer.weight"].shape[0]) for n in ("camera", "buttons")}
    model = MinecraftPolicy(Architecture.from_kwargs(case["policy_kwargs"]), case["pi_temperature"], heads).eval()
    model.load_state_dict(weights)
    state = model.initial_state(len(case["chunks"][0]["img"]))
    chunks = []
    for chunk in case["chunks"]:
        first = torch.tensor(chunk["first"], dtype=torch.bool)[:, 0]
        output = model(torch.tensor(chunk["img"], dtype=torch.uint8), first, state)
        state = output.state
        chunks.append(
            {
                "log_probs": {name: plain(values) for name, values in output.log_probs.items()},
                "value_normalised": plain(output.value),
                "value": plain(model.value_head.normalizer.denormalise(output.value)),
            }
        )
    return {"chunks": chunks}


def tiny_idm(case: Json, shared: Json) -> Json:
    """A whole inverse dynamics model on one window."""
    weights = weights_of(case["weights"])
    buttons = weights["pi_head.buttons.linear_layer.weight"].shape[0] // 2
    classes = weights["pi_head.camera.linear_layer.weight"].shape[0] // 2
    heads = {"buttons": (buttons, 2), "camera": (2, classes)}
    model = InverseDynamics(Architecture.from_kwargs(case["idm_net_kwargs"]), heads=heads).eval()
    model.load_state_dict(weights)
    log_probs = model(torch.tensor(case["img"], dtype=torch.uint8))
    return {"log_probs": {name: plain(values) for name, values in log_probs.items()}}


def checkpoint_layout(case: Json, shared: Json) -> Json:
    """Names and shapes of the state dict of an official model, on the meta device."""
    kwargs = case["policy_kwargs"] if "policy_kwargs" in case else case["idm_net_kwargs"]
    architecture = Architecture.from_kwargs(kwargs)
    with torch.device("meta"):
        model: nn.Module = MinecraftPolicy(architecture) if architecture.conv3d is None else InverseDynamics(architecture)
    state = model.state_dict()
    return {
        "n_parameters": sum(value.numel() for value in state.values()),
        "state_dict_shapes": {name: list(value.shape) for name, value in state.items()},
    }
