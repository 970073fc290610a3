"""Actions as tokens: each dimension is cut into bins on its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Kind = Literal["minmax", "minmax2", "mulaw"]


@dataclass(frozen=True)
class Tokeniser:
    """Between numbers and bins 0..bins-1, which `shift` moves to the right.

    kind: "minmax" is the paper's, whose inverse is the LOWER edge of the bin, so that what was decoded is cut into the same
    bin again. "minmax2" has bins at both ends of [-1, 1], "mulaw" finer ones around 0. low, high: of minmax.
    """

    bins: int = 64
    shift: int = 0
    kind: Kind = "minmax"
    low: float = -1.0
    high: float = 1.0

    def tokenise(self, values: Tensor) -> Tensor:
        """Return the tokens int64[...] of numbers float[...]; what lies outside is in the outermost bins."""
        last = self.bins - 1
        if self.kind == "minmax":
            found = (values - self.low) / ((self.high - self.low) / self.bins)
        elif self.kind == "minmax2":
            found = (values.clamp(-1, 1) + 1) / 2 * last
        else:
            companded = values.sign() * torch.log1p(last * values.abs()) / math.log1p(last)
            found = (companded + 1) / 2 * last + 0.5
        return found.trunc().clamp(0, last).long() + self.shift

    def decode(self, tokens: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the numbers of tokens, which for minmax are lower edges; tokens below `shift` are the first bin."""
        last = self.bins - 1
        bins = (tokens - self.shift).clamp(min=0).to(dtype)
        if self.kind == "minmax":
            return bins * ((self.high - self.low) / self.bins) + self.low
        unit = bins / last * 2 - 1
        if self.kind == "minmax2":
            return unit
        return unit.sign() * ((1.0 + last) ** unit.abs() - 1) / last
