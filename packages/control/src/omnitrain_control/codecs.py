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
LARGEST = 1 << 20
"""Classes of a choice."""


class ActionCodec(Protocol):
    """What a policy needs to know of an environment's actions.

    heads: name of each head to (how many independent choices, how many classes each). counts: of the head "action", how many
    of the classes each choice really has, int64[choices].
    """

    @property
    def heads(self) -> Mapping[str, tuple[int, int]]: ...

    @property
    def counts(self) -> NDArray[np.int64]: ...

    def encode(self, actions: Any) -> Classes:
        """Return the classes int64[..., choices] of each head for a batch of the environment's actions."""

    def decode(self, classes: Classes) -> Any:
        """Return the environment's actions for a batch of classes."""


@dataclass(frozen=True)
class DiscreteCodec:
    """Actions that are numbers already.

    count: how many there are. start: the first of them, which is class 0. dtype: of the environment's actions.
    """

    count: int
    start: int = 0
    dtype: Any = np.int64

    @property
    def heads(self) -> Mapping[str, tuple[int, int]]:
        """One head with one choice."""
        return {"action": (1, self.count)}

    @property
    def counts(self) -> NDArray[np.int64]:
        """The classes of the one choice."""
        return np.array([self.count])

    def encode(self, actions: Any) -> Classes:
        """Return int64[..., 1] of int[...]."""
        return {"action": (np.asarray(actions, dtype=np.int64) - self.start)[..., None]}

    def decode(self, classes: Classes) -> NDArray[Any]:
        """Return the numbers, [...]."""
        return (np.asarray(classes["action"][..., 0], dtype=np.int64) + self.start).astype(self.dtype)


@dataclass(frozen=True)
class MultiDiscreteCodec:
    """Several numbers at a time.

    counts: how many there are of each. starts: the first of each, which is class 0. dtype: of the environment's actions.
    """

    counts: NDArray[np.int64]
    starts: NDArray[np.int64]
    dtype: Any = np.int64

    @property
    def heads(self) -> Mapping[str, tuple[int, int]]:
        """One head with a choice per number, as many classes as the largest has."""
        return {"action": (len(self.counts), int(self.counts.max()))}

    def encode(self, actions: Any) -> Classes:
        """Return int64[..., choices] of int[..., choices]."""
        return {"action": np.asarray(actions, dtype=np.int64) - self.starts}

    def decode(self, classes: Classes) -> NDArray[Any]:
        """Return the numbers, [..., choices]."""
        return (np.asarray(classes["action"], dtype=np.int64) + self.starts).astype(self.dtype)


@dataclass(frozen=True)
class BinnedCodec:
    """Continuous actions, every dimension cut into bins. low, high: float64[dimensions]; the bins span them.

    dtype: of the environment's actions; whole numbers take the nearest of a bin's centre.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    bins: Bins
    dtype: Any = np.float64

    @property
    def heads(self) -> Mapping[str, tuple[int, int]]:
        """One head with a choice per dimension."""
        return {"action": (len(self.low), self.bins.count)}

    @property
    def counts(self) -> NDArray[np.int64]:
        """The bins of every dimension."""
        return np.full(len(self.low), self.bins.count)

    def encode(self, actions: Any) -> Classes:
        """Return int64[..., dimensions] of float[..., dimensions]."""
        unit = (np.asarray(actions, dtype=np.float64) - self.low) / (self.high - self.low) * 2.0 - 1.0
        return {"action": self.bins.encode(unit * self.bins.largest)}

    def decode(self, classes: Classes) -> NDArray[Any]:
        """Return the centres of the bins, [..., dimensions]."""
        unit = self.bins.decode(classes["action"]) / self.bins.largest
        found = np.clip(self.low + (unit + 1.0) / 2.0 * (self.high - self.low), self.low, self.high)
        return (np.rint(found) if np.issubdtype(self.dtype, np.integer) else found).astype(self.dtype)


def codec_of(space: gymnasium.Space[Any], bins: int = 64) -> ActionCodec:
    """Return the codec of a discrete or bounded continuous space. bins: per dimension of a continuous one.

    Raises UsageError for other spaces; plugins bring codecs of their own for those.
    """
    codec: ActionCodec | None = None
    if isinstance(space, gymnasium.spaces.Discrete):
        codec = DiscreteCodec(int(space.n), int(space.start), space.dtype)
    elif isinstance(space, gymnasium.spaces.MultiDiscrete) and space.nvec.ndim == 1:
        codec = MultiDiscreteCodec(space.nvec.astype(np.int64), space.start.astype(np.int64), space.dtype)
    elif isinstance(space, gymnasium.spaces.Box) and len(space.shape) == 1 and _can_be_binned(space):
        spread = Bins(largest=1.0, size=2.0 / (bins - 1), scheme="linear")
        codec = BinnedCodec(space.low.astype(np.float64), space.high.astype(np.float64), spread, space.dtype)
    if codec is None:
        raise UsageError(
            f"There is no action codec for {space}; expected Discrete, MultiDiscrete with one dimension, or a bounded Box with "
            "one dimension and room between its bounds."
        )
    return _checked(codec, space)


def _can_be_binned(space: gymnasium.spaces.Box) -> bool:
    return bool(space.shape[0]) and space.is_bounded() and bool((space.low < space.high).all())


def _checked(codec: ActionCodec, space: gymnasium.Space[Any]) -> ActionCodec:
    """Refuse a codec whose first or last actions are none of the space's: what would be played is not what was chosen."""
    if codec.counts.max() > LARGEST:
        raise UsageError(f"{space} has {codec.counts.max()} actions; a policy's head chooses from {LARGEST} at most.")
    for classes in (np.zeros_like(codec.counts), codec.counts - 1):
        (action,) = codec.decode({"action": classes[None]})
        if not space.contains(action):
            raise UsageError(f"The action {action!r} that stands for class {classes.tolist()} is none of {space}.")
    return codec


def described_actions(space: gymnasium.Space[Any]) -> dict[str, Any]:
    """Return plain JSON that is equal for spaces whose classes mean the same actions."""
    if isinstance(space, gymnasium.spaces.Discrete):
        return {"kind": "Discrete", "n": int(space.n), "start": int(space.start)}
    if isinstance(space, gymnasium.spaces.MultiDiscrete):
        return {"kind": "MultiDiscrete", "n": space.nvec.tolist(), "start": space.start.tolist()}
    if isinstance(space, gymnasium.spaces.Box):
        return {"kind": "Box", "low": space.low.tolist(), "high": space.high.tolist()}
    return {"kind": str(space)}
