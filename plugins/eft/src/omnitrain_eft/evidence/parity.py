"""Golden vectors to functions: each adapter runs one case through the code that decoding and evaluation use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from omnitrain_eft.models.decoding.processors import Processing
from omnitrain_eft.paper.composition import Dials, combine, implicit_reward, normalised_improvement, nucleus, total_variation
from omnitrain_eft.paper.speculation import verify

Case = Mapping[str, Any]


def _tensor(values: Any) -> Tensor:
    return torch.tensor(
        np.asarray([[float(v) for v in row] for row in values] if _nested(values) else list(map(float, values)))
    )


def _nested(values: Sequence[Any]) -> bool:
    return len(values) > 0 and isinstance(values[0], (list, tuple))


def _processing(case: Case) -> Processing:
    return Processing(temperature=case.get("temperature", 1.0), top_p=case.get("top_p", 1.0))


def _next_token(case: Case, shared: Case) -> dict[str, Any]:
    large, expert, base = (_tensor(case[f"{name}_logits"]) for name in ("large_base", "small_ft", "small_base"))
    z = combine(large, [expert], [base], Dials(alpha=case["alpha"]))
    final = _processing(case)(z[None], [[]])[0]
    return {"final_logits": final.tolist(), "probs": final.softmax(-1).tolist(), "argmax": int(final.argmax())}


def _reward_interpolation(case: Case, shared: Case) -> dict[str, Any]:
    experts = [_tensor(row) for row in case["small_ft_logits"]]
    base = _tensor(case["small_base_logits"])
    # The reference rounded the weights to float32 before it used them in float64.
    weights = tuple(float(np.float32(w)) for w in case["weights"])
    z = combine(_tensor(case["large_base_logits"]), experts, [base] * len(experts), Dials(weights=weights))
    return {"final_logits": z.tolist(), "probs": z.softmax(-1).tolist()}


def _upscaling_delta(case: Case, shared: Case) -> dict[str, Any]:
    large, expert, base = (_tensor(case[f"{name}_logits"]) for name in ("large_base", "small_ft", "small_base"))
    top_p = case["delta_top_p"]
    z = combine(large, [expert], [base], Dials(beta_up=case["beta"], delta_top_p=top_p))
    final = Processing(top_p=case["sampling_top_p"] or 1.0)(z[None], [[]])[0].log_softmax(-1)
    small = expert.log_softmax(-1)
    kept = torch.ones_like(small, dtype=torch.bool) if top_p is None else nucleus(small, top_p)
    distance = float(total_variation(final, small))
    return {"log_probs": final.tolist(), "delta_mask": kept.tolist(), "tv_to_small_ft": distance}


def _speculative_step(case: Case, shared: Case) -> dict[str, Any]:
    large, expert, base = (_tensor(case[f"{name}_logits"])[None] for name in ("large_base", "small_ft", "small_base"))
    processing = _processing(case)
    drafted = torch.tensor([case["draft_tokens"]], dtype=torch.int64)
    block = drafted.shape[1]
    target = combine(large, [expert], [base], Dials(beta_up=case["beta"]))
    p = processing.warp(target).softmax(-1)
    q = processing.warp(expert[:, :block]).softmax(-1)
    uniforms = torch.tensor([case["accept_uniforms"]], dtype=torch.float64)
    last = torch.tensor([case["next_token_uniform"]], dtype=torch.float64)
    found = verify(p[:, :block], q, drafted, uniforms, last, lambda: p[:, block])
    accepted = int(found.accepted)
    tokens = [*case["draft_tokens"][:accepted], int(found.next_token)]
    return {"num_accepted": accepted, "tokens": tokens, "acceptance_ratios": found.ratios[0].tolist()}


def _greedy_generation(case: Case, shared: Case) -> dict[str, Any]:
    from omnitrain_eft.evidence.tables import table_decoder
    from omnitrain_eft.models.decoding.loop import Decoding, generate

    steps: list[Tensor] = []
    decoder = table_decoder(
        [_tensor(case[f"{name}_table"]) for name in ("large_base", "small_ft", "small_base")],
        Dials(alpha=case["alpha"]),
        on_logits=steps.append,
    )
    settings = Decoding(max_new_tokens=case["max_new_tokens"], processing=Processing(temperature=0.0))
    eos, pad = case["eos_token_id"], case["pad_token_id"]
    found = generate(decoder, case["prompts"], settings, [eos], pad)
    sequences = [[*prompt, *row] for prompt, row in zip(case["prompts"], found.padded(pad), strict=True)]
    return {"sequences": sequences, "step_logits": torch.stack(steps, dim=1).tolist()}


def _implicit_reward(case: Case, shared: Case) -> dict[str, Any]:
    tokens = torch.tensor(case["response_tokens"], dtype=torch.int64)
    reward = implicit_reward(_tensor(case["small_ft_logits"]), _tensor(case["small_base_logits"]), tokens, case["beta_rl"])
    scores = case["score_eft"], case["score_small_ft"], case["score_large_ft"]
    return {"implicit_reward": float(reward), "normalized_improvement": normalised_improvement(*scores)}


ADAPTERS: dict[str, Callable[[Any, Case], Any]] = {
    "next_token": _next_token,
    "greedy_generation": _greedy_generation,
    "reward_interpolation": _reward_interpolation,
    "upscaling_delta": _upscaling_delta,
    "speculative_step": _speculative_step,
    "implicit_reward": _implicit_reward,
}

TEST_ONLY: dict[str, str] = {
    "implicit_reward": "`implicit_reward`; compositions add logits and never form the reward",
}

TOLERANCES: dict[str, dict[str, float]] = {
    "next_token": {"relative": 1e-12, "absolute": 1e-12},
    "greedy_generation": {"relative": 1e-12, "absolute": 1e-12},
    "reward_interpolation": {"relative": 1e-10, "absolute": 1e-10},
    "upscaling_delta": {"relative": 1e-11, "absolute": 1e-11},
    "speculative_step": {"relative": 1e-10, "absolute": 1e-10},
    "implicit_reward": {"relative": 1e-11, "absolute": 1e-11},
}
