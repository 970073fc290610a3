"""Which denoiser each example gets: drawn per example, so that batches are mixed, with a state that can be saved."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from omnitrain.errors import DataError
from omnitrain_ul2.paper.denoisers import Mixture


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
