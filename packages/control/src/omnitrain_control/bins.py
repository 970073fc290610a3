"""Continuous quantities as bins: linear, or finer around zero (mu-law)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Bins:
    """A symmetric quantiser around zero.

    largest: M, values beyond it are clipped. size: width of a bin in the (companded) scale. scheme: "linear", or "mu_law",
    which spends most bins near zero (VPT: M 10 degrees, size 2, mu 10 give 11 bins, zero is bin 5).
    """

    largest: float = 10.0
    size: float = 2.0
    scheme: Literal["linear", "mu_law"] = "mu_law"
    mu: float = 10.0

    @property
    def count(self) -> int:
        """How many bins there are."""
        return round(2 * self.largest / self.size) + 1

    @property
    def zero(self) -> int:
        """The bin of 0."""
        return self.encode(np.zeros(())).item()

    @property
    def centres(self) -> NDArray[np.float64]:
        """The value of each bin, float64[count]."""
        return self.decode(np.arange(self.count))

    def encode(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """Return the bins of values of any shape: round half to even of (v + M) / size after clipping and companding."""
        v = np.clip(np.asarray(values, dtype=np.float64), -self.largest, self.largest)
        if self.scheme == "mu_law":
            v = v / self.largest
            v = np.sign(v) * (np.log(1.0 + self.mu * np.abs(v)) / np.log(1.0 + self.mu))
            v = v * self.largest
        return np.round((v + self.largest) / self.size).astype(np.int64)

    def decode(self, bins: NDArray[Any]) -> NDArray[np.float64]:
        """Return the values of bins: the inverse of `encode` up to quantisation."""
        v = np.asarray(bins) * self.size - self.largest
        if self.scheme == "mu_law":
            v = v / self.largest
            v = np.sign(v) * (1.0 / self.mu) * ((1.0 + self.mu) ** np.abs(v) - 1.0)
            v = v * self.largest
        return np.asarray(v, dtype=np.float64)
