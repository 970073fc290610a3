"""How a plugin describes its benches: variants that are timed in turn, and the ratios that they must reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Bar:
    """A stated limit: `ours` must be at least `speedup` times as fast as the variant `peer` in the same rounds."""

    peer: str
    speedup: float


@dataclass(frozen=True)
class Bench:
    """One comparison. variants: name to a callable that runs once and returns the measured value.

    unit: of the value ("us a step", "M tokens/s"). higher_is_better: rates rather than costs. ours: the variant that is
    ours. over: a variant whose value of the same round is subtracted from all others (a fixed cost over a bare loop).
    bars: limits. absent: peers that are not installed here. rounds: how often each variant runs.
    """

    name: str
    summary: str
    unit: str
    ours: str
    variants: Mapping[str, Callable[[], float]]
    higher_is_better: bool = False
    over: str | None = None
    bars: tuple[Bar, ...] = ()
    absent: tuple[str, ...] = ()
    rounds: int = 5
    notes: Mapping[str, str] = field(default_factory=dict)
