"""A paper's claims: what is compared with what, by which runs, over which seeds. Declared before anything is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

ContrastKind = Literal["better", "not-worse", "equal"]
Scale = Literal["difference", "log-ratio", "logit"]
CONTRAST_KINDS: tuple[str, ...] = get_args(ContrastKind)
SCALES: tuple[str, ...] = get_args(Scale)
PILOTS = 1000
"""Seeds from here on are pilots: they may choose the number of seeds, they are never stored."""
LEVEL = 0.05
"""Two-sided; a claim has a direction, so that one without any effect is shown once in forty times."""
TWO_LOOKS: Mapping[tuple[int, int], float] = {(3, 5): 0.028, (4, 8): 0.0275, (5, 10): 0.028, (6, 12): 0.028}
"""Nominal two-sided level at each of two looks of a paired t test that keeps the one-sided error of both at .025.

Source: simulated, 4 million paired experiments of normal differences without effect each (standard error .0001): one-sided
error .0250 at (3, 5), .0248 at (4, 8), .0251 at (5, 10), .0250 at (6, 12); .0434 at (5, 10) with .05 each time. The power of
(5, 10) at effects of 1, 1.5 and 2 standard deviations is .72, .97 and 1.00, after 8.6, 7.2 and 6.0 seeds on average.
"""


@dataclass(frozen=True)
class Looks:
    """When a claim is judged: after how many seeds, and at which nominal two-sided level each time.

    at: numbers of seeds, growing. first: the first seed; those that follow are counted on from it.
    """

    at: tuple[int, ...]
    level: float = LEVEL
    first: int = 0

    def __post_init__(self) -> None:
        if not self.at or self.at[0] < 1 or any(b <= a for a, b in pairwise(self.at)):
            raise ValueError(f"looks at {self.at}: expected growing numbers of seeds")
        if self.first < 0 or self.first + self.at[-1] > PILOTS:
            raise ValueError(f"seeds {self.first} to {self.first + self.at[-1] - 1}: expected seeds below {PILOTS}")

    @classmethod
    def fixed(cls, seeds: int = 6, first: int = 0) -> Looks:
        """Judge once, after so many seeds."""
        return cls((seeds,), LEVEL, first)

    @classmethod
    def two(cls, early: int = 5, late: int = 10, first: int = 0) -> Looks:
        """Judge after `early` seeds and, where that leaves it open, once more after `late` seeds.

        Raises ValueError for numbers whose level is not known.
        """
        if (early, late) not in TWO_LOOKS:
            known = ", ".join(f"({a}, {b})" for a, b in TWO_LOOKS)
            raise ValueError(f"two looks at {early} and {late} seeds have no known level; choose one of {known}")
        return cls((early, late), TWO_LOOKS[early, late], first)

    def seeds(self, look: int = 0) -> tuple[int, ...]:
        """Return the seeds of a look, the earlier ones among them."""
        return tuple(range(self.first, self.first + self.at[look]))


SIX_SEEDS = Looks.fixed(6)


@dataclass(frozen=True)
class Contrast:
    """Two numbers of a claim's measure, compared seed by seed.

    metric: the claimed one. opponent: what it is compared with, ONE named number: a maximum or minimum over opponents, chosen
    inside a seed, is biased; write a contrast for each. direction: whether metric should be higher or lower.
    kind: "better" (beyond the margin), "not-worse" (behind by less than the margin), "equal" (apart by less than the margin).
    scale: what is taken seed by seed: the difference, the logarithm of the ratio (times, counts, rates), the difference of
    logits (shares). margin, smallest: in the unit of the scale; smallest is the smallest effect that would matter.
    offset: added to both before a logarithm, such as half a count.
    """

    metric: str
    opponent: str
    direction: Literal["higher", "lower"]
    kind: ContrastKind = "better"
    margin: float = 0.0
    scale: Scale = "difference"
    smallest: float | None = None
    offset: float = 0.0


@dataclass(frozen=True)
class Published:
    """A number that the paper reports, and where it stands; value None means that no source was available."""

    value: float | str | None
    source: str


@dataclass(frozen=True)
class Variant:
    """One run of a miniature experiment: a recipe with overrides; the seed is set per repetition.

    Variants of different claims with the same recipe and overrides are run once per seed.
    """

    name: str
    recipe: str
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Claim:
    """A statement of the paper and how it is measured again in miniature.

    id: the card's name ("C2"). statement: one sentence. paper: what the paper reports. variants: the runs that it rests on.
    measure: "module:callable" called once per seed as measure({variant name: FinishedRun}) -> {name: number}; imported when
    run. contrasts: what has to hold, all of it. nothing: names of the measure's numbers that stand for doing nothing (chance,
    untrained, frozen, the large base); the first contrast's metric is compared with each, or the metric that a contrast in
    their place says. The verdict says how that ended; a number that the measure does not give is said to be not measured yet.
    looks: seeds and how often they are looked at. check: whether the numbers are deterministic: it holds in every run, or not;
    there is no interval. minutes: time for one seed on two cores. pilot: what pilot runs told, on seeds from 1000 on.
    note: what a reader must know beside the numbers.
    """

    id: str
    statement: str
    paper: Mapping[str, Published]
    variants: tuple[Variant, ...]
    measure: str
    contrasts: tuple[Contrast, ...]
    nothing: tuple[str | Contrast, ...]
    looks: Looks = SIX_SEEDS
    check: bool = False
    minutes: float = 1.0
    pilot: str = ""
    note: str = ""
