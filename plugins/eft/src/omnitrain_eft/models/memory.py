"""How much memory a composition takes: weights and caches of every member, from shapes alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from omnitrain.api import UseModel
from omnitrain_eft.configs.models import CompositionConfig, ShapedCausalConfig

GIB = 2**30


@dataclass(frozen=True)
class MemberPlan:
    """Bytes of one member.

    parameters: their number. eight_bit: bytes of the weights with 8-bit linear layers. loaded: bytes of the weights as the
    config loads them. cache: of keys and values of one token in bfloat16. longest: tokens that it has positions for.
    """

    name: str
    parameters: int
    eight_bit: int
    loaded: int
    cache: int
    longest: int

    @property
    def bfloat16(self) -> int:
        """Bytes of the weights in bfloat16."""
        return 2 * self.parameters

    @property
    def line(self) -> str:
        """The member in one line."""
        return (
            f"{self.name}: {self.parameters:,} parameters, {_gib(self.bfloat16)} in bfloat16, {_gib(self.eight_bit)} in 8 bit, "
            f"{self.cache / 1024:.0f} KiB of cache a token"
        )


def cache_bytes_per_token(config: Any) -> int:
    """Return 2 (keys, values) x layers x key-value heads x head width x 2 bytes."""
    heads = int(config.num_attention_heads)
    grouped = getattr(config, "num_key_value_heads", None) or (
        1 if getattr(config, "multi_query", False) and not getattr(config, "new_decoder_architecture", False) else None
    )
    grouped = grouped or getattr(config, "num_kv_heads", None) or heads
    return 2 * int(config.num_hidden_layers) * int(grouped) * (int(config.hidden_size) // heads) * 2


def member_plan(name: str, config: ShapedCausalConfig) -> MemberPlan:
    """Return the plan of a member that names its architecture, counted on the meta device."""
    from omnitrain_eft.models.causal import released_shape
    from omnitrain_eft.models.eight_bit import eight_bit_bytes

    assert config.architecture is not None
    model = released_shape(config.architecture)
    parameters = sum(p.numel() for p in model.parameters())
    eight_bit = eight_bit_bytes(model)
    loaded = {"float32": 4 * parameters, "bfloat16": 2 * parameters, "int8": eight_bit}[config.dtype]
    longest = int(model.config.max_position_embeddings)
    return MemberPlan(name, parameters, eight_bit, loaded, cache_bytes_per_token(model.config), longest)


def _members(config: CompositionConfig) -> tuple[dict[str, UseModel], dict[str, UseModel]]:
    """Return the members that are decoded with, the large base first, and those that only evaluation uses."""
    used: dict[str, UseModel | None] = {"large base": config.large, "small base": config.small}
    for number, expert in enumerate(config.experts):
        used |= {f"expert {number}": expert.model, f"base of expert {number}": expert.base}
    extra = {"large fine-tuned": config.large_tuned, "large LoRA": config.large_lora}
    return _named(used), _named(extra)


def _named(uses: dict[str, UseModel | None]) -> dict[str, UseModel]:
    """Return the members whose weights a path holds, or whose architecture is named; stages show their models themselves."""
    return {
        name: use
        for name, use in uses.items()
        if use is not None
        and use.source is None
        and isinstance(use.config, ShapedCausalConfig)
        and (use.config.path is not None or use.config.architecture is not None)
    }


def _plans(uses: dict[str, UseModel]) -> tuple[list[MemberPlan], list[str]]:
    """Return the plans of members, and the names of those that name no architecture."""
    known = {name: use.config for name, use in uses.items() if isinstance(use.config, ShapedCausalConfig)}
    plans = [member_plan(name, config) for name, config in known.items() if config.architecture is not None]
    return plans, [name for name, config in known.items() if config.architecture is None]


def _gib(amount: float) -> str:
    return f"{amount / GIB:.1f} GiB"


def plan_lines(config: CompositionConfig) -> list[str]:
    """Return the memory plan in lines; none where all members are from stages.

    Each member, the caches of the longest text that all members take, then weights and these caches: all in bfloat16, with
    an 8-bit large base, all in 8 bit, and as the config loads them.
    """
    used, extra = _members(config)
    plans, unknown = _plans(used)
    further, unknown_further = _plans(extra)
    lines = [plan.line for plan in plans]
    if plans:
        each, longest = sum(plan.cache for plan in plans), min(plan.longest for plan in plans)
        caches = each * longest
        half = sum(plan.bfloat16 for plan in plans) + caches
        mixed = half + sum(plan.eight_bit - plan.bfloat16 for plan in plans if plan.name == "large base")
        eight = sum(plan.eight_bit for plan in plans) + caches
        loaded = sum(plan.loaded for plan in plans) + caches
        lines += [
            f"caches: {each / 1024:.0f} KiB a token, {_gib(caches)} for a text of {longest:,} tokens, the longest for all",
            f"memory plan with the caches of one such text: all in bfloat16 {_gib(half)}; large base in 8 bit {_gib(mixed)}; "
            f"all in 8 bit {_gib(eight)}; as set here {_gib(loaded)}",
        ]
        if further:
            names = " and ".join(plan.name for plan in further)
            more = sum(plan.loaded for plan in further)
            lines.append(f"with {names}, for evaluation only: {_gib(loaded + more)} as set here")
    if unknown or unknown_further:
        names = ", ".join(unknown + unknown_further)
        lines.append(f"not in the memory plan: {names}; set `architecture` beside `path`")
    return lines
