"""Say of what was measured over seeds whether a claim shows: contrast by contrast, then the claim, then its family."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from omnitrain.api.claims import LEVEL, Claim, Contrast
from omnitrain.api.measures import mean_interval
from omnitrain.evidence.statistics import (
    Summary,
    detectable,
    holm,
    mean_p,
    no_spread,
    seeds_needed,
    summarise,
)

SHOWN = "shown"
CONTRADICTED = "contradicted"
EQUIVALENT = "equivalent"
OPEN = "open"
PASSED = "check passed"
FAILED = "check failed"
UNMEASURED = "not measured"


@dataclass(frozen=True)
class Compared:
    """A contrast and what was found. gains: seed by seed on the contrast's scale, above 0 in the claimed direction.

    interval: of the mean gain at the level. p: twice the one-sided p of the contrast; None where nothing can be said.
    verdict: one of the words above. reason: why it is open, where the seeds are not the reason.
    detectable: the gain that so many seeds show with 80 % power. needed: seeds for 80 % power at the larger of the smallest
    effect of interest and the mean; None: no such number below 1000.
    """

    contrast: Contrast
    gains: Summary
    interval: tuple[float, float] | None
    p: float | None
    verdict: str
    reason: str = ""
    detectable: float | None = None
    needed: int | None = None


@dataclass(frozen=True)
class Judged:
    """A claim and what was found. nothing: the comparisons with doing nothing, None for a row that was not measured.

    p: of the claim, the largest of its contrasts' (all have to hold). adjusted: Holm's, within the family.
    """

    verdict: str
    compared: tuple[Compared, ...]
    nothing: Mapping[str, Compared | None]
    level: float
    p: float | None
    adjusted: float | None = None


def gains(contrast: Contrast, rows: Sequence[Mapping[str, float]]) -> list[float]:
    """Return the contrast seed by seed on its scale, above 0 in the claimed direction; NaN where the scale has no number."""
    sign = 1.0 if contrast.direction == "higher" else -1.0
    return [sign * _difference(contrast, row[contrast.metric], row[contrast.opponent]) for row in rows]


def _difference(contrast: Contrast, metric: float, opponent: float) -> float:
    if contrast.scale == "difference":
        return metric - opponent
    try:
        if contrast.scale == "log-ratio":
            return math.log(metric + contrast.offset) - math.log(opponent + contrast.offset)
        return _logit(metric) - _logit(opponent)
    except (ValueError, ZeroDivisionError):
        return math.nan


def _logit(share: float) -> float:
    return math.log(share / (1 - share))


def compare(contrast: Contrast, rows: Sequence[Mapping[str, float]], level: float = LEVEL) -> Compared:
    """Judge one contrast over seeds.

    It is shown when the interval's near end is beyond the margin: above it ("better"), above minus the margin ("not-worse"),
    or both ends within it ("equal"). It is contradicted when the interval lies on the other side (of zero, of minus the
    margin, beyond the margin), equivalent when it lies within plus and minus the smallest effect of interest (the margin
    where none is declared), else open. One seed, a number that is not finite and seeds that do not differ show nothing.
    """
    found = gains(contrast, rows)
    summary, interval = summarise(found), mean_interval(found, 1 - level)
    if not math.isfinite(summary.mean):
        return Compared(contrast, summary, None, None, OPEN, "a measured number is not finite on the declared scale")
    if interval is None:
        return Compared(contrast, summary, None, None, OPEN, "one seed has no interval")
    if no_spread(found):
        return Compared(contrast, summary, interval, None, OPEN, "the seeds do not differ: a spread of 0 shows nothing")
    p = _p(contrast, found)
    seen, needed = _resolution(contrast, summary, len(found), level)
    return Compared(contrast, summary, interval, p, _verdict(contrast, interval), "", seen, needed)


def _verdict(contrast: Contrast, interval: tuple[float, float]) -> str:
    low, high = interval
    margin = contrast.margin
    if contrast.kind == "equal":
        if -margin < low and high < margin:
            return SHOWN
        return CONTRADICTED if low > margin or high < -margin else OPEN
    threshold = margin if contrast.kind == "better" else -margin
    if low > threshold:
        return SHOWN
    if high < (0.0 if contrast.kind == "better" else -margin):
        return CONTRADICTED
    bound = contrast.smallest if contrast.smallest is not None else margin
    return EQUIVALENT if contrast.kind == "better" and -bound < low and high < bound else OPEN


def _p(contrast: Contrast, found: Sequence[float]) -> float | None:
    if contrast.kind == "equal":
        above, below = mean_p(found, -contrast.margin), mean_p([-g for g in found], -contrast.margin)
        return None if above is None or below is None else max(above, below)
    return mean_p(found, contrast.margin if contrast.kind == "better" else -contrast.margin)


def _resolution(contrast: Contrast, found: Summary, count: int, level: float) -> tuple[float, int | None]:
    """Return the gain that so many seeds would have seen, and the seeds needed; of "equal", the margin and at no difference.

    Both ends of an equal contrast are seen with 80 % power when each is seen with 90 %.
    """
    spread = found.spread
    assert spread is not None
    if contrast.kind == "equal":
        return spread * detectable(count, level, 0.9), seeds_needed(contrast.margin / spread, level, 0.9)
    threshold = contrast.margin if contrast.kind == "better" else -contrast.margin
    effect = max(contrast.smallest or 0.0, found.mean)
    return threshold + spread * detectable(count, level), seeds_needed((effect - threshold) / spread, level)


def judge(claim: Claim, rows: Sequence[Mapping[str, float]], level: float = LEVEL) -> Judged:
    """Judge a claim on the numbers of its measure, one mapping per seed. `adjusted` is left to the family."""
    decide = check if claim.check else compare
    compared = tuple(decide(contrast, rows, level) for contrast in claim.contrasts)
    nothing = {
        contrast.opponent: decide(contrast, rows, level) if _given(contrast, rows) else None
        for contrast in against_nothing(claim)
    }
    found = [c.p for c in compared]
    p = None if any(value is None for value in found) else max(value for value in found if value is not None)
    return Judged(_together([c.verdict for c in compared]), compared, nothing, level, p)


def against_nothing(claim: Claim) -> list[Contrast]:
    """Return a claim's comparisons with doing nothing as contrasts."""
    first = claim.contrasts[0]
    return [
        replace(first, opponent=name, kind="better", margin=0.0, smallest=None) if isinstance(name, str) else name
        for name in claim.nothing
    ]


def _given(contrast: Contrast, rows: Sequence[Mapping[str, float]]) -> bool:
    return all(contrast.metric in row and contrast.opponent in row for row in rows)


def check(contrast: Contrast, rows: Sequence[Mapping[str, float]], level: float = LEVEL) -> Compared:
    """Judge a deterministic contrast: it has to hold in every run, by its margin; there is neither interval nor p."""
    found = gains(contrast, rows)
    margin = contrast.margin
    tests = {"better": lambda g: g > margin, "not-worse": lambda g: g >= -margin, "equal": lambda g: abs(g) <= margin}
    held = all(tests[contrast.kind](g) for g in found)
    return Compared(contrast, summarise(found), None, None, PASSED if held else FAILED)


def _together(verdicts: Sequence[str]) -> str:
    """A claim is shown when each of its contrasts is: no correction is needed for their number (intersection-union)."""
    for worst in (FAILED, CONTRADICTED, OPEN, EQUIVALENT):
        if worst in verdicts:
            return worst
    return verdicts[0]


def adjusted(values: Mapping[str, float | None], family: int) -> dict[str, float | None]:
    """Return Holm's p of each claim of a plugin. values: the claims' p. family: how many claims the plugin has that have one.

    Those whose p is not known count as 1, which makes the others' larger, never smaller, than it will be.
    """
    known = {name: p for name, p in values.items() if p is not None}
    padded = [*known.values(), *[1.0] * max(family - len(known), 0)]
    by_name = dict(zip(known, holm(padded), strict=False))
    return {name: by_name.get(name) for name in values}
