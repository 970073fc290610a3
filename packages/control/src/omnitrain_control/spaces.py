"""Spaces of gymnasium as plain JSON and back, so that a saved policy is built again without unpickling anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from omnitrain.errors import UsageError


def described_space(space: gymnasium.Space[Any]) -> dict[str, Any]:
    """Return a space as plain JSON: {"kind": "Box", "shape", "dtype", "low", "high"} and the like; infinite bounds are text.

    Raises UsageError for a space that has no such form.
    """
    if isinstance(space, spaces.Dict):
        return {"kind": "Dict", "spaces": {name: described_space(part) for name, part in space.spaces.items()}}
    if isinstance(space, spaces.Box):
        bounds = {"low": _bound(space.low), "high": _bound(space.high)}
        return {"kind": "Box", "shape": list(space.shape), "dtype": str(space.dtype), **bounds}
    if isinstance(space, spaces.Discrete):
        return {"kind": "Discrete", "n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.MultiDiscrete):
        return {"kind": "MultiDiscrete", "n": space.nvec.tolist(), "start": space.start.tolist()}
    if isinstance(space, spaces.MultiBinary):
        return {"kind": "MultiBinary", "shape": list(space.shape)}
    raise UsageError(f"{space} can't be described: expected Box, Discrete, MultiDiscrete, MultiBinary or a Dict of those.")


def space_of(described: Mapping[str, Any]) -> gymnasium.Space[Any]:
    """Return the space that `described_space` described."""
    kind = described["kind"]
    if kind == "Dict":
        return spaces.Dict({name: space_of(part) for name, part in described["spaces"].items()})
    if kind == "Box":
        shape, dtype = tuple(described["shape"]), np.dtype(described["dtype"])
        low, high = (np.broadcast_to(np.array(_numbers(described[end])), shape).astype(dtype) for end in ("low", "high"))
        return spaces.Box(low, high, shape, dtype.type)
    if kind == "Discrete":
        return spaces.Discrete(described["n"], start=described["start"])
    if kind == "MultiDiscrete":
        return spaces.MultiDiscrete(described["n"], start=described["start"])
    return spaces.MultiBinary(described["shape"] if len(described["shape"]) > 1 else described["shape"][0])


def same_shape(one: gymnasium.Space[Any], other: gymnasium.Space[Any]) -> bool:
    """Whether a network for one space can read the other: kinds, sizes and types agree; bounds may differ."""
    if isinstance(one, spaces.Dict) and isinstance(other, spaces.Dict):
        if list(one.spaces) != list(other.spaces):
            return False
        return all(same_shape(part, other.spaces[name]) for name, part in one.spaces.items())
    if isinstance(one, spaces.Box) and isinstance(other, spaces.Box):
        kinds = {np.dtype(space.dtype).kind for space in (one, other)}
        return one.shape == other.shape and len(kinds) == 1
    if isinstance(one, spaces.MultiDiscrete) and isinstance(other, spaces.MultiDiscrete):
        return bool(np.array_equal(one.nvec, other.nvec))
    return type(one) is type(other) and gymnasium.spaces.flatdim(one) == gymnasium.spaces.flatdim(other)


def _bound(values: Any) -> Any:
    """Return a bound as one number where all are equal, else as lists; what is infinite as "inf" and "-inf"."""
    array = np.asarray(values)
    return _plain(array.flat[0].item() if array.size and (array == array.flat[0]).all() else array.tolist())


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, float) and np.isinf(value) else value


def _numbers(value: Any) -> Any:
    if isinstance(value, list):
        return [_numbers(part) for part in value]
    return float(value) if isinstance(value, str) else value
