"""Feasibility: the smallest Gromov-Wasserstein distance of a mixture of bases to a target graphon (section 4.3).

For a fixed coupling the squared distance is a convex quadratic in the weights, a' Q a - 2 b' a + c, so the two are found in
turn: an exact step in the weights, then a local search in the coupling. Couplings that were found for single bases and for
smaller sets of bases are starts for larger sets, so that adding a basis never makes the result worse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from omnitrain.errors import DataError
from omnitrain_w2pgnn.graphs.structure import Floats
from omnitrain_w2pgnn.paper.simplex import minimise, screen
from omnitrain_w2pgnn.paper.transport import (
    COARSE,
    FINE,
    RANDOM_STARTS,
    Transport,
    degree_coupling,
    refine,
    search,
    squared_distance,
    starting_couplings,
)

ROUNDS = 20
# Sets of up to so many bases are built up from all of their subsets; larger ones from the chain that drops the worst basis.
EXHAUSTIVE = 4
KEPT = 3
# A squared distance that counts as zero: nothing better can be found.
EXACT = 1e-20


@dataclass(frozen=True)
class Fit:
    """The best mixture of some bases. members: their numbers. weights: float64[members]. squared: GW^2 to the target.

    coupling: float64[n, n].
    """

    members: tuple[int, ...]
    weights: Floats
    squared: float
    coupling: Floats

    @property
    def distance(self) -> float:
        """The Gromov-Wasserstein distance; its negative is the feasibility."""
        return float(np.sqrt(self.squared))


class MixtureFitter:
    """Fits mixtures of subsets of the same bases to one target, and remembers what it has found.

    bases: float64[K, n, n], target: float64[n, n], symmetric. randoms: random starts of each local search. seed: of them.
    couplings: further ones to start from. The search is thorough: it goes from all starts and builds up from subsets.
    Raises DataError for sizes that differ, values that are not finite, or no basis.
    """

    def __init__(
        self,
        bases: Floats,
        target: Floats,
        randoms: int = RANDOM_STARTS,
        seed: int = 0,
        couplings: Sequence[Floats] = (),
    ) -> None:
        bases, target = np.asarray(bases, np.float64), np.asarray(target, np.float64)
        if bases.ndim != 3 or len(bases) == 0 or bases.shape[1:] != target.shape:
            raise DataError(f"Bases of shape {bases.shape} and a target of {target.shape} don't fit; resize to one size.")
        if not (np.isfinite(bases).all() and np.isfinite(target).all()):
            raise DataError("A graphon has an entry that is not finite; look at the graphs that it was estimated from.")
        self.bases = (bases + bases.transpose(0, 2, 1)) / 2
        self.target = (target + target.T) / 2
        self.size = len(target)
        flat = self.bases.reshape(len(bases), -1)
        self.quadratic = flat @ flat.T / self.size**2
        self.constant = float(np.sum(self.target**2)) / self.size**2
        self.randoms, self.seed = randoms, seed
        self.given = list(couplings)
        self._singles: dict[int, list[Transport]] = {}
        self._fits: dict[tuple[int, ...], Fit] = {}
        self._means: dict[tuple[int, ...], Transport] = {}
        self._descents: dict[tuple[int, ...], Fit] = {}

    def linear_term(self, coupling: Floats) -> Floats:
        """Return b of a coupling, float64[K]: <B_i, T target T'>."""
        carried = coupling @ self.target @ coupling.T
        return np.asarray(np.tensordot(self.bases, carried, axes=([1, 2], [0, 1])), np.float64)

    def single(self, member: int) -> list[Transport]:
        """Return the best local minima for one basis alone, best first."""
        if member not in self._singles:
            starts = [*self._starts(self.bases[member], self.randoms), *self.given]
            self._singles[member] = search(self.bases[member], self.target, starts, KEPT)
        return self._singles[member]

    def _starts(self, graphon: Floats, randoms: int) -> list[Floats]:
        return starting_couplings(graphon, self.target, randoms, self.seed)

    def uniform(self, members: Sequence[int] | None = None) -> Transport:
        """Return the distance of the plain mean of bases; the couplings of the single bases are starts too."""
        chosen = tuple(range(len(self.bases))) if members is None else tuple(sorted(set(members)))
        if chosen not in self._means:
            mean = self.bases[list(chosen)].mean(axis=0)
            starts = self._starts(mean, 0)
            starts += [found.coupling for member in chosen for found in self.single(member)[:1]]
            self._means[chosen] = search(mean, self.target, starts)[0]
        return self._means[chosen]

    def fit(self, members: Sequence[int] | None = None) -> Fit:
        """Return the best mixture of all bases, or of some, never worse than one of them alone.

        It is never worse than any subset of at most EXHAUSTIVE of them either.
        """
        chosen = tuple(range(len(self.bases))) if members is None else tuple(sorted(set(members)))
        if not chosen:
            raise DataError("A mixture of no bases was asked for; name at least one.")
        if chosen not in self._fits:
            self._fits[chosen] = self._fit_single(chosen[0]) if len(chosen) == 1 else self._fit_several(chosen)
        return self._fits[chosen]

    def descend(self, members: Sequence[int] | None = None) -> Fit:
        """Return what one descent from the mean of the bases finds, nodes matched by degree, and from given couplings.

        Enough where the target is in the space, and in milliseconds near what `fit` searches for with many starts.
        """
        chosen = tuple(range(len(self.bases))) if members is None else tuple(sorted(set(members)))
        if chosen not in self._descents:
            mean = self.bases[list(chosen)].mean(axis=0)
            starts = [degree_coupling(mean, self.target), *self.given]
            self._descents[chosen] = min((self._alternate(chosen, s) for s in starts), key=lambda fit: fit.squared)
        return self._descents[chosen]

    def _fit_single(self, member: int) -> Fit:
        best = self.single(member)[0]
        return Fit((member,), np.ones(1), best.squared, best.coupling)

    def _smaller(self, chosen: tuple[int, ...]) -> list[Fit]:
        if len(chosen) <= EXHAUSTIVE:
            return [self.fit(chosen[:i] + chosen[i + 1 :]) for i in range(len(chosen))]
        # The chain that drops, one after the other, the basis which is worst alone.
        worst = max(chosen, key=lambda m: (self.single(m)[0].squared, m))
        return [self.fit(tuple(m for m in chosen if m != worst))]

    def _fit_several(self, chosen: tuple[int, ...]) -> Fit:
        first = self.descend(chosen)
        if first.squared <= EXACT:
            return first
        smaller = self._smaller(chosen)
        exact = min(smaller, key=lambda fit: fit.squared)
        if exact.squared <= EXACT:
            return _widened(exact, chosen)
        pool = [fit.coupling for fit in smaller]
        pool += [found.coupling for member in chosen for found in self.single(member)]
        mean = self.uniform(chosen)
        pool += [mean.coupling, *self.given]
        terms = np.stack([self.linear_term(coupling)[list(chosen)] for coupling in pool])
        q = self.quadratic[np.ix_(chosen, chosen)]
        _, values = screen(q, terms)
        order = np.argsort(values, kind="stable")[:KEPT]
        found = [first]
        for number in order.tolist():
            found.append(self._alternate(chosen, pool[number]))
            if found[-1].squared <= EXACT:
                return found[-1]
        # What is known of subsets and of the mean stands as it is, should every search end elsewhere.
        found += [_widened(fit, chosen) for fit in smaller]
        found.append(Fit(chosen, np.full(len(chosen), 1 / len(chosen)), mean.squared, mean.coupling))
        return min(found, key=lambda fit: fit.squared)

    def _alternate(self, chosen: tuple[int, ...], coupling: Floats) -> Fit:
        """Weights and coupling in turn, to a local minimum of both: coarsely first, then to the end."""
        best = self._descend(chosen, coupling, COARSE)
        finer = self._descend(chosen, best.coupling, FINE)
        return finer if finer.squared < best.squared else best

    def _descend(self, chosen: tuple[int, ...], coupling: Floats, relative: float) -> Fit:
        members = list(chosen)
        q = self.quadratic[np.ix_(members, members)]
        best: Fit | None = None
        for _ in range(ROUNDS):
            weights = minimise(q, self.linear_term(coupling)[members])
            mixture = np.tensordot(weights, self.bases[members], axes=1)
            reached = squared_distance(mixture, self.target, coupling)
            before = best.squared if best is not None else np.inf
            if reached < before:
                best = Fit(chosen, weights, reached, coupling)
            found = refine(mixture, self.target, coupling, relative)
            if best is None or found.squared < best.squared:
                best = Fit(chosen, weights, found.squared, found.coupling)
            if best.squared <= EXACT or before - best.squared <= relative * best.squared:
                break
            coupling = found.coupling
        assert best is not None
        return best


class QuickFitter(MixtureFitter):
    """The same without a search: one descent for the mixture and one for each basis, nodes matched by degree.

    A mixture is never worse than one of its bases, which is all that is promised here.
    """

    def _starts(self, graphon: Floats, randoms: int) -> list[Floats]:
        return [degree_coupling(graphon, self.target)]

    def _fit_several(self, chosen: tuple[int, ...]) -> Fit:
        first = self.descend(chosen)
        if first.squared <= EXACT:
            return first
        return min([first, *(_widened(self.fit([m]), chosen) for m in chosen)], key=lambda fit: fit.squared)


def _widened(fit: Fit, members: tuple[int, ...]) -> Fit:
    """Return the same mixture as one of more bases, the new ones with weight 0."""
    weights = np.zeros(len(members))
    weights[[members.index(m) for m in fit.members]] = fit.weights
    return Fit(members, weights, fit.squared, fit.coupling)


def fit_mixture(bases: Floats, target: Floats, randoms: int = RANDOM_STARTS, seed: int = 0) -> Fit:
    """Return the best mixture of bases float64[K, n, n] for a target float64[n, n]."""
    return MixtureFitter(bases, target, randoms, seed).fit()


def fit_quickly(bases: Floats, target: Floats) -> Fit:
    """Return a good mixture of bases float64[K, n, n] for a target float64[n, n], in milliseconds."""
    return QuickFitter(bases, target).fit()
