"""Mixtures of denoisers: the rates, the paper's baselines, and the draw of one denoiser for each example."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from omnitrain.errors import DataError, UsageError
from omnitrain_ul2.paper.denoisers import CAUSAL_LM, PREFIX_LM, SPAN_CORRUPTION, UL2_DENOISERS, Denoiser


@dataclass(frozen=True, slots=True)
class Mixture:
    """Denoisers and the probability with which each is drawn for an example."""

    denoisers: tuple[Denoiser, ...]
    rates: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.denoisers or len(self.denoisers) != len(self.rates):
            raise UsageError(
                f"A mixture has {len(self.denoisers)} denoisers and {len(self.rates)} rates; give one rate a denoiser."
            )
        if any(not isfinite(rate) or rate < 0 for rate in self.rates) or sum(self.rates) <= 0:
            raise UsageError(f"Mixture rates {list(self.rates)} must be at least 0, with a sum above 0.")

    @property
    def probabilities(self) -> tuple[float, ...]:
        """The rates divided by their sum."""
        total = sum(self.rates)
        return tuple(rate / total for rate in self.rates)


# `balanced` is section 4.5's finding (about 20 % S); `ul2r` is continued training of a causal LM (UL2R).
MIXTURES: Mapping[str, Mixture] = {
    "uniform": Mixture(UL2_DENOISERS, (1 / 7,) * 7),
    "balanced": Mixture(UL2_DENOISERS, (0.2, 0.2, 0.1, 0.1, 0.1, 0.1, 0.2)),
    "ul2r": Mixture(
        (Denoiser("S", None, 0.25), SPAN_CORRUPTION, Denoiser("X", 32.0, 0.15), Denoiser("X", 3.0, 0.5)),
        (0.5, 0.25, 0.125, 0.125),
    ),
    "span_corruption": Mixture((SPAN_CORRUPTION,), (1.0,)),
    "prefix_lm": Mixture((PREFIX_LM,), (1.0,)),
    "causal_lm": Mixture((CAUSAL_LM,), (1.0,)),
    "sclm": Mixture((SPAN_CORRUPTION, CAUSAL_LM), (0.5, 0.5)),
    "unified_lm": Mixture((CAUSAL_LM, PREFIX_LM, SPAN_CORRUPTION), (1 / 3, 1 / 3, 1 / 3)),
}


def mixture(name: str, rates: Sequence[float] | None = None) -> Mixture:
    """A named mixture, with its own rates or the given ones (one a denoiser, any positive scale).

    Raises UsageError for an unknown name or a wrong number of rates.
    """
    if name not in MIXTURES:
        raise UsageError(f"Mixture {name!r} is unknown; use one of {', '.join(MIXTURES)}.")
    preset = MIXTURES[name]
    return preset if rates is None else Mixture(preset.denoisers, tuple(float(rate) for rate in rates))


def generator_state(generator: np.random.Generator) -> dict[str, Any]:
    """State of a PCG64 generator as JSON; its 128-bit numbers are text, which every JSON reader keeps exact."""
    state = generator.bit_generator.state
    if state["bit_generator"] != "PCG64":
        raise DataError(f"Generator {state['bit_generator']} cannot be saved; use numpy.random.default_rng (PCG64).")
    words = {name: str(value) for name, value in state["state"].items()}
    return {**state, "state": words}


def restore_generator(generator: np.random.Generator, state: Mapping[str, Any]) -> None:
    """Put a generator back into a state from `generator_state`; raises DataError for anything else."""
    try:
        words = {name: int(state["state"][name]) for name in ("state", "inc")}
        generator.bit_generator.state = {**state, "state": words}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"A saved generator state cannot be read ({error}); use another checkpoint.") from error


class MixtureSampler:
    """Draws the denoiser of each example by the rates of a mixture, and counts what it drew."""

    def __init__(self, mixture: Mixture, seed: int) -> None:
        self.mixture = mixture
        self.counts = np.zeros(len(mixture.rates), np.int64)
        self._generator = np.random.default_rng(seed)
        self._limits = np.cumsum(mixture.probabilities)
        self._limits[-1] = 1.0

    def draw(self, examples: int) -> npt.NDArray[np.int64]:
        """Positions in the mixture's denoisers, int64[examples]; the sequence does not depend on how it is cut up."""
        index = np.searchsorted(self._limits, self._generator.random(examples), side="right").astype(np.int64)
        self.counts += np.bincount(index, minlength=len(self.counts))
        return index

    def state_dict(self) -> dict[str, Any]:
        """Generator and counts, as JSON content."""
        return {
            "generator": generator_state(self._generator),
            "counts": self.counts.tolist(),
            "denoisers": [denoiser.name for denoiser in self.mixture.denoisers],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a saved sampler stopped; raises DataError if it belongs to another mixture."""
        names = [denoiser.name for denoiser in self.mixture.denoisers]
        if state.get("denoisers") != names:
            raise DataError(
                f"Saved sampler state is of denoisers {state.get('denoisers')}, this mixture has {names}; "
                "resume with the mixture that the run began with."
            )
        counts = np.asarray(state["counts"], dtype=np.int64)
        if counts.shape != self.counts.shape:
            raise DataError(f"Saved sampler state has {counts.size} counts, expected {len(names)}.")
        restore_generator(self._generator, state["generator"])
        self.counts = counts
