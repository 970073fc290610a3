"""How much memory a composition takes: weights and caches of every member, from shapes alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omnitrain.api import UseModel
from omnitrain_eft.configs import CausalModelConfig, CompositionConfig

GIB = 2**30
CONTEXT = 1024
BATCH = 1


@dataclass(frozen=True)
class MemberPlan:
    """parameters: of the model. cache_per_token: bytes of keys and values of one token at two bytes each."""

    name: str
    parameters: int
    cache_per_token: int

    def weights(self, bytes_each: float) -> float:
        """Return the bytes of the weights."""
        return self.parameters * bytes_each


def cache_bytes_per_token(config: Any) -> int:
    """Return 2 (keys, values) x layers x key-value heads x head width x 2 bytes."""
    heads = int(config.num_attention_heads)
    grouped = getattr(config, "num_key_value_heads", None) or (
        1 if getattr(config, "multi_query", False) and not getattr(config, "new_decoder_architecture", False) else None
    )
    grouped = grouped or getattr(config, "num_kv_heads", None) or heads
    return 2 * int(config.num_hidden_layers) * int(grouped) * (int(config.hidden_size) // heads) * 2


def member_plan(name: str, architecture: str) -> MemberPlan:
    """Return the plan of a released architecture, counted on the meta device."""
    from omnitrain_eft.causal import released_shape

    model = released_shape(architecture)
    return MemberPlan(name, sum(p.numel() for p in model.parameters()), cache_bytes_per_token(model.config))


def evaluation_plans(config: CompositionConfig) -> list[MemberPlan]:
    """Return the plans of the members that only evaluation uses, where they name their architecture."""
    return _plans({"large fine-tuned": config.large_tuned, "large LoRA": config.large_lora})


def member_plans(config: CompositionConfig) -> list[MemberPlan]:
    """Return the plans of the members that are decoded with and name their architecture."""
    uses: dict[str, UseModel | None] = {"large base": config.large, "small base": config.small}
    for number, expert in enumerate(config.experts):
        uses |= {f"expert {number}": expert.model, f"base of expert {number}": expert.base}
    return _plans(uses)


def _plans(uses: Mapping[str, UseModel | None]) -> list[MemberPlan]:
    found = []
    for name, use in uses.items():
        if use is None or use.source is not None:
            continue
        settings = use.config
        if isinstance(settings, CausalModelConfig) and settings.architecture is not None:
            found.append(member_plan(name, settings.architecture))
    return found


def _gib(amount: float) -> str:
    return f"{amount / GIB:.1f} GiB"


def plan_lines(config: CompositionConfig, context: int = CONTEXT, batch: int = BATCH) -> list[str]:
    """Return the memory plan in lines: each member, then the sums in bfloat16, with an 8-bit large base, and all in 8 bit."""
    plans = member_plans(config)
    if not plans:
        return ["memory plan: no member names its architecture; set `architecture` beside `path`"]
    caches = sum(plan.cache_per_token for plan in plans) * context * batch
    lines = [
        f"{plan.name}: {plan.parameters:,} parameters, {_gib(plan.weights(2))} in bfloat16, {_gib(plan.weights(1))} in 8 bit, "
        f"{plan.cache_per_token / 1024:.0f} KiB of cache a token"
        for plan in plans
    ]
    large, small = plans[0], plans[1:]
    rest = sum(plan.weights(2) for plan in small)
    every = large.weights(2) + rest
    lines += [
        f"caches of all members, batch {batch} x {context} tokens: {_gib(caches)}",
        f"memory plan: all in bfloat16 {_gib(every + caches)}; large base in 8 bit {_gib(large.weights(1) + rest + caches)}; "
        f"all in 8 bit {_gib(sum(plan.weights(1) for plan in plans) + caches)}",
    ]
    extra = evaluation_plans(config)
    if extra:
        more = sum(plan.weights(2) for plan in extra)
        names = " and ".join(plan.name for plan in extra)
        lines.append(f"with {names}, which only evaluation uses: {_gib(every + caches + more)} in bfloat16")
    return lines
