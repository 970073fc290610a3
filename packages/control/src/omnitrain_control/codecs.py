"""Action codecs: between what an environment takes and the classes that a policy's heads choose from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium
import numpy as np
from numpy.typing import NDArray

from omnitrain.errors import UsageError
from omnitrain_control.bins import Bins

Classes = Mapping[str, NDArray[np.int64]]


class ActionCodec(Protocol):
    """What a policy needs to know of an environment's actions.

    heads: name of each head to (how many independent choices, how many classes each).
    """

    @property
    def heads(self) -> Mapping[str, tuple[int, int]]: ...

    def encode(self, actions: Any) -> Classes:
        """Return the classes int64[..., choices] of each head for a batch of the environment's actions."""

    def decode(self, classes: Classes) -> Any:
        """Return the environment's actions for a batch of classes."""


@dataclass(frozen=True)
class DiscreteCodec:
    """Actions that are numbers already. count: how many there are."""

    count: int

    @property
    def heads(self) -> Mapping[str, tuple[int, int]]:
        """One head with one choice."""
        return {"action": (1, self.count)}

    def encode(self, actions: Any) -> Classes:
        """Return int64[..., 1] of int[...]."""
        return {"action": np.asarray(actions, dtype=np.int64)[..., None]}

    def decode(self, classes: Classes) -> NDArray[np.int64]:
        """Return int64[...]."""
        return np.asarray(classes["action"][..., 0], dtype=np.int64)


@dataclass(frozen=True)
class BinnedCodec:
    """Continuous actions, every dimension cut into bins. low, high: float64[dimensions]; the bins span them."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    bins: Bins

    @property
    def heads(self) -> Mapping[str, tuple[int, int]]:
        """One head with a choice per dimension."""
        return {"action": (len(self.low), self.bins.count)}

    def encode(self, actions: Any) -> Classes:
        """Return int64[..., dimensions] of float[..., dimensions]."""
        unit = (np.asarray(actions, dtype=np.float64) - self.low) / (self.high - self.low) * 2.0 - 1.0
        return {"action": self.bins.encode(unit * self.bins.largest)}

    def decode(self, classes: Classes) -> NDArray[np.float64]:
        """Return float64[..., dimensions], the centres of the bins."""
        unit = self.bins.decode(classes["action"]) / self.bins.largest
        return self.low + (unit + 1.0) / 2.0 * (self.high - self.low)


def codec_of(space: gymnasium.Space[Any], bins: int = 64) -> ActionCodec:
    """Return the codec of a discrete or bounded continuous space. bins: per dimension of a continuous one.

    Raises UsageError for other spaces; plugins bring codecs of their own for those.
    """
    if isinstance(space, gymnasium.spaces.Discrete):
        return DiscreteCodec(int(space.n))
    if isinstance(space, gymnasium.spaces.Box) and space.is_bounded() and len(space.shape) == 1:
        spread = Bins(largest=1.0, size=2.0 / (bins - 1), scheme="linear")
        return BinnedCodec(space.low.astype(np.float64), space.high.astype(np.float64), spread)
    raise UsageError(f"There is no action codec for {space}; expected Discrete or a bounded Box with one dimension.")
