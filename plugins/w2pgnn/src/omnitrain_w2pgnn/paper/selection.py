"""Which candidates to take under a budget: all subsets at once, or a beam search where there are too many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from omnitrain_w2pgnn.graphs.structure import Floats
from omnitrain_w2pgnn.paper.feasibility import MixtureFitter
from omnitrain_w2pgnn.paper.simplex import screen

REFINED = 64
"""Subsets that are fitted in full; the others keep the bound of the common couplings."""

WIDER = 4
"""Times as many subsets get a bound of their own by one descent before those are chosen."""

Members = tuple[int, ...]


@dataclass(frozen=True)
class Ranked:
    """A subset. distances: float64[targets]. refined: whether it was fitted in full; else the distances are upper bounds."""

    members: Members
    distances: Floats
    refined: bool

    @property
    def score(self) -> float:
        """The mean feasibility over targets."""
        return -float(self.distances.mean())


def bounds(fitter: MixtureFitter, subsets: Sequence[Members]) -> Floats:
    """Return an upper bound of each subset's squared distance, float64[subsets], from the couplings of single bases.

    All subsets of a size and all couplings are one batch.
    """
    pool = [found.coupling for i in range(len(fitter.bases)) for found in fitter.single(i)]
    terms = np.stack([fitter.linear_term(coupling) for coupling in pool])
    found = np.empty(len(subsets))
    for size in sorted({len(s) for s in subsets}):
        places = [i for i, s in enumerate(subsets) if len(s) == size]
        chosen = np.array([subsets[i] for i in places])
        found[places] = fitter.constant + _screen_all(fitter.quadratic, terms, chosen)
    return np.maximum(found, 0)


def _screen_all(quadratic: Floats, terms: Floats, chosen: np.ndarray) -> Floats:
    """Return the smallest value over couplings for each subset. terms: float64[couplings, K], chosen: int64[subsets, size]."""
    values = np.empty(len(chosen))
    for row, members in enumerate(chosen):
        _, own = screen(quadratic[np.ix_(members, members)], terms[:, members], 40)
        values[row] = own.min()
    return values


def rank_subsets(fitters: Sequence[MixtureFitter], subsets: Sequence[Members], refined: int = REFINED) -> list[Ranked]:
    """Return subsets by feasibility, best first; the most promising ones are fitted in full. fitters: one a target."""
    if len(subsets) > refined:
        limits = np.sqrt(np.stack([bounds(fitter, subsets) for fitter in fitters], axis=1))
        for number in np.argsort(limits.mean(axis=1), kind="stable")[: WIDER * refined].tolist():
            found_at_once = [fitter.descend(subsets[number]).distance for fitter in fitters]
            limits[number] = np.minimum(limits[number], found_at_once)
        order = np.argsort(limits.mean(axis=1), kind="stable")
    else:
        limits, order = np.zeros((len(subsets), len(fitters))), np.arange(len(subsets))
    found = []
    for place, number in enumerate(order.tolist()):
        members = subsets[number]
        if place < refined:
            found.append(Ranked(members, np.array([fitter.fit(members).distance for fitter in fitters]), True))
        else:
            found.append(Ranked(members, limits[number], False))
    return sorted(found, key=lambda r: (not r.refined, -r.score, r.members))


def choose(fitters: Sequence[MixtureFitter], budget: int, up_to: bool, exact_limit: int, beam: int) -> list[Ranked]:
    """Return subsets of `budget` candidates (of fewer too, with up_to), best first.

    All are looked at where there are at most exact_limit; else each size goes on from the best `beam` of the size before.
    """
    count = len(fitters[0].bases)
    sizes = range(1, budget + 1) if up_to else range(budget, budget + 1)
    if sum(comb(count, size) for size in sizes) <= exact_limit:
        return rank_subsets(fitters, [s for size in sizes for s in combinations(range(count), size)])
    held = rank_subsets(fitters, [(i,) for i in range(count)])
    found = list(held) if up_to else []
    for size in range(2, budget + 1):
        wider = {tuple(sorted((*r.members, i))) for r in held[:beam] for i in range(count) if i not in r.members}
        held = rank_subsets(fitters, sorted(wider))
        if up_to or size == budget:
            found += held
    found = held if budget == 1 and not found else found
    return sorted(found, key=lambda r: (not r.refined, -r.score, len(r.members), r.members))
