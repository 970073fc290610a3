"""An environment as Stable-Baselines3 sees it: spaces that begin at 0, observations restored from a fleet's vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from omnitrain.errors import UsageError
from omnitrain_control.observations import flat_size, is_vector, unflat


@dataclass(frozen=True)
class View:
    """Both spaces as an algorithm sees them, and the ways to and from a fleet.

    observation_space, action_space: the algorithm's. source: what the fleet's vectors are made of, None where the algorithm
    reads the vectors themselves. actions: the environment's own space.
    """

    observation_space: gymnasium.Space[Any]
    action_space: gymnasium.Space[Any]
    source: gymnasium.Space[Any] | None
    actions: gymnasium.Space[Any]

    def observe(self, vectors: NDArray[Any]) -> Any:
        """Return observations [n, ...] of the algorithm's space, a dict of arrays for a Dict, from a fleet's [n, size]."""
        return vectors if self.source is None else unflat(self.source, vectors)

    def act(self, chosen: NDArray[Any]) -> Sequence[Any]:
        """Return the environment's actions, one each, for an algorithm's batch [n, ...]."""
        space = self.actions
        if isinstance(space, spaces.Discrete):
            return list((np.asarray(chosen, np.int64).reshape(-1) + int(space.start)).astype(space.dtype))
        if isinstance(space, spaces.MultiDiscrete):
            return list((np.asarray(chosen, np.int64) + space.start).astype(space.dtype))
        if isinstance(space, spaces.Box):
            return list(np.clip(chosen, space.low, space.high).astype(space.dtype))
        return list(np.asarray(chosen).astype(space.dtype))


def view_of(source: gymnasium.Space[Any], actions: gymnasium.Space[Any], policy: str) -> View:
    """Return how an algorithm with a policy of that name sees an environment.

    source: of its observations before a fleet made them vectors. actions: of the environment. What Stable-Baselines3 can't
    read as it is (a Tuple, a nested Dict) is seen as the fleet's vector.
    Raises UsageError for observations that the policy does not read and actions that no algorithm has.
    """
    seen = _from_zero(source)
    vector = spaces.Box(-np.inf, np.inf, (flat_size(source),), np.float32)
    observed = vector if seen is None else seen
    _check_policy(policy, observed, source)
    chosen = _from_zero(actions)
    if chosen is None or isinstance(chosen, spaces.Dict):
        raise UsageError(
            f"Stable-Baselines3 has no actions of {actions}: expected Box, Discrete, MultiDiscrete with one dimension or "
            "MultiBinary; wrap the environment so that it takes one of those."
        )
    if isinstance(actions, spaces.Box) and not actions.is_bounded():
        raise UsageError(f"The actions {actions} have no bounds, which Stable-Baselines3 needs; bound them in the environment.")
    return View(observed, chosen, None if seen is None or is_vector(source) else seen, actions)


def _from_zero(space: gymnasium.Space[Any]) -> gymnasium.Space[Any] | None:
    """Return a space as Stable-Baselines3 reads it, None where it can't."""
    if isinstance(space, spaces.Dict):
        parts = {}
        for name, part in space.spaces.items():
            seen = _from_zero(part)
            if seen is None or isinstance(seen, spaces.Dict):
                return None
            parts[name] = seen
        return spaces.Dict(parts)
    if isinstance(space, spaces.Discrete):
        return spaces.Discrete(int(space.n))
    if isinstance(space, spaces.MultiDiscrete):
        return spaces.MultiDiscrete(space.nvec) if space.nvec.ndim == 1 else None
    if isinstance(space, spaces.Box):
        return spaces.Box(space.low, space.high, space.shape, space.dtype.type)
    return spaces.MultiBinary(space.n) if isinstance(space, spaces.MultiBinary) else None


def _check_policy(policy: str, observed: gymnasium.Space[Any], source: gymnasium.Space[Any]) -> None:
    """Refuse a policy that reads other observations; Stable-Baselines3 itself tells so late and in other words."""
    from stable_baselines3.common.preprocessing import is_image_space

    is_dict = isinstance(observed, spaces.Dict)
    if is_dict != (policy == "MultiInputPolicy"):
        right = "MultiInputPolicy" if is_dict else "MlpPolicy or CnnPolicy"
        raise UsageError(f"policy: {policy} does not read observations of {source}; set {right}.")
    if policy == "CnnPolicy" and (not is_image_space(observed) or min(_sides(observed)) < SMALLEST_PICTURE):
        raise UsageError(
            f"policy: CnnPolicy reads pictures, uint8 from 0 to 255 with sides of {SMALLEST_PICTURE} and more, and the "
            f"observations are {source}; set MlpPolicy or wrap the environment."
        )


SMALLEST_PICTURE = 36
"""Side of the smallest picture that Stable-Baselines3's convolutions (NatureCNN) take."""


def _sides(space: gymnasium.Space[Any]) -> tuple[int, int]:
    """Return height and width of a picture whose channels are its first or last dimension, whichever is smallest."""
    shape = space.shape
    assert shape is not None
    sides = shape[1:] if int(np.argmin(shape)) == 0 else shape[:2]
    return int(sides[0]), int(sides[1])
