"""Observations of any space of numbers as one vector, which is what recordings hold and perceptrons read."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from omnitrain.errors import EnvironmentFault, UsageError

LARGEST = 1 << 20
"""Numbers of an observation; above it a perceptron is the wrong model."""


def is_vector(space: gymnasium.Space[Any]) -> bool:
    """Tell whether observations are vectors of numbers as they are."""
    return isinstance(space, spaces.Box) and len(space.shape) == 1


def flat_size(space: gymnasium.Space[Any]) -> int:
    """Return how many numbers an observation has as a vector.

    Raises UsageError for a space whose observations have no fixed number of numbers.
    """
    if isinstance(space, spaces.Dict):
        size = sum(map(flat_size, space.spaces.values()))
    elif isinstance(space, spaces.Tuple):
        size = sum(map(flat_size, space.spaces))
    elif isinstance(space, (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)):
        size = int(spaces.flatdim(space))
    else:
        raise UsageError(
            f"Observations of {space} can't be a vector: expected Box, Discrete, MultiDiscrete, MultiBinary, or Dict and Tuple "
            "of those; wrap the environment so that it gives such observations."
        )
    if not 0 < size <= LARGEST:
        raise UsageError(f"Observations of {space} are {size} numbers; expected 1 to {LARGEST}.")
    return size


def _is_picture(space: spaces.Box) -> bool:
    return space.dtype == np.uint8 and len(space.shape) > 1 and int(space.low.min()) == 0 and int(space.high.max()) == 255


def check_type(space: gymnasium.Space[Any], observation: Any, who: str) -> None:
    """Refuse fractions where a Box has whole numbers: pixels from 0 to 1 would be read as nearly black.

    Raises EnvironmentFault.
    """
    dtype = np.asarray(observation).dtype
    if isinstance(space, spaces.Box) and dtype.kind == "f" and np.dtype(space.dtype).kind in "iu":
        raise EnvironmentFault(
            f"{who} gives observations of the type {dtype}, and their space is {space}: give whole numbers, or declare a space "
            "of that type."
        )


def flat(space: gymnasium.Space[Any], value: Any) -> NDArray[np.float32]:
    """Return an observation as float32[flat_size]: numbers in their order, a choice as 0 and 1, pixels from 0 to 1.

    Raises EnvironmentFault for one that is none of the space.
    """
    if isinstance(space, spaces.Dict):
        return np.concatenate([flat(part, value[name]) for name, part in space.spaces.items()])
    if isinstance(space, spaces.Tuple):
        return np.concatenate([flat(part, item) for part, item in zip(space.spaces, value, strict=True)])
    if isinstance(space, spaces.Box):
        numbers = np.asarray(value)
        if numbers.shape != space.shape:
            raise EnvironmentFault(f"An environment gives an observation of the shape {numbers.shape}; its space is {space}.")
        check_type(space, numbers, "An environment")
        return (numbers.reshape(-1) / (255.0 if _is_picture(space) else 1.0)).astype(np.float32)
    if not space.contains(value):
        raise EnvironmentFault(f"An environment gives the observation {value!r}, which is none of its space {space}.")
    return np.asarray(spaces.flatten(space, value), np.float32).reshape(-1)


def unflat(space: gymnasium.Space[Any], vectors: NDArray[Any]) -> Any:
    """Return observations [n, ...] of a space from their vectors [n, flat_size], the inverse of `flat` for each row.

    A Dict gives a dict of arrays, a Tuple a tuple. Numbers come back as float32 keeps them.
    """
    if isinstance(space, (spaces.Dict, spaces.Tuple)):
        named = list(space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces))
        ends = np.cumsum([flat_size(part) for _, part in named])[:-1]
        parts = {name: unflat(part, piece) for (name, part), piece in zip(named, np.split(vectors, ends, -1), strict=True)}
        return parts if isinstance(space, spaces.Dict) else tuple(parts.values())
    if isinstance(space, spaces.Discrete):
        return vectors.argmax(-1).astype(np.int64) + int(space.start)
    if isinstance(space, spaces.MultiDiscrete):
        pieces = np.split(vectors, np.cumsum(space.nvec.ravel())[:-1], -1)
        chosen = np.stack([piece.argmax(-1) for piece in pieces], -1).reshape(-1, *space.shape)
        return (chosen + space.start).astype(space.dtype)
    assert isinstance(space, (spaces.Box, spaces.MultiBinary))
    whole = space.dtype is not None and np.issubdtype(space.dtype, np.integer)
    numbers = vectors * 255.0 if isinstance(space, spaces.Box) and _is_picture(space) else vectors
    return (np.rint(numbers) if whole else numbers).astype(space.dtype).reshape(-1, *space.shape)


class FlatObservations(gymnasium.ObservationWrapper[Any, Any, Any]):
    """An environment whose observations are vectors. source_space: what they are made of.

    Raises UsageError for a space whose observations have no fixed number of numbers.
    """

    def __init__(self, environment: gymnasium.Env[Any, Any]) -> None:
        super().__init__(environment)
        self.source_space = environment.observation_space
        self.observation_space = spaces.Box(-np.inf, np.inf, (flat_size(self.source_space),), np.float32)

    def observation(self, observation: Any) -> NDArray[np.float32]:
        """Return the vector."""
        return flat(self.source_space, observation)


def source_space(environment: gymnasium.Env[Any, Any]) -> gymnasium.Space[Any]:
    """Return what an environment's observations are before they are made vectors."""
    return environment.source_space if isinstance(environment, FlatObservations) else environment.observation_space
