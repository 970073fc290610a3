"""Whether environments can be stepped as one batch: their observations are arrays, and their spaces the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from omnitrain.errors import UsageError
from omnitrain_control.codecs import described_actions
from omnitrain_control.spaces import same_shape

_ARRAYS = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


@dataclass(frozen=True)
class Member:
    """What is known of an environment: its name, its spaces, source_space: of observations before they were made vectors, and
    limit: the most steps of an episode, or None."""

    name: str
    observation_space: gymnasium.Space[Any]
    action_space: gymnasium.Space[Any]
    source_space: gymnasium.Space[Any]
    limit: int | None


def joined_members(members: Sequence[Member]) -> Member:
    """Return what all have in common: bounds that hold for each, the longest limit.

    Raises UsageError for observations that are no arrays, and for environments whose observations or actions differ, naming
    both.
    """
    first = members[0]
    for member in members:
        if not isinstance(member.observation_space, _ARRAYS):
            raise UsageError(
                f"The environment {member.name} gives observations of {member.observation_space}, which are no arrays: make it "
                "by omnitrain_control.environments.make_game, which makes vectors of them, or wrap it so that it gives a Box."
            )
        if _array(member.observation_space) != _array(first.observation_space):
            raise _differ("observations", member, member.observation_space, first, first.observation_space)
        if described_actions(member.action_space) != described_actions(first.action_space):
            raise _differ("actions", member, member.action_space, first, first.action_space)
    limits = [member.limit for member in members]
    alike = all(same_shape(member.source_space, first.source_space) for member in members)
    observations = _bounds([member.observation_space for member in members])
    return Member(
        first.name,
        observations,
        first.action_space,
        first.source_space if alike else observations,
        None if None in limits else max(limit for limit in limits if limit is not None),
    )


def _array(space: gymnasium.Space[Any]) -> tuple[Any, ...]:
    return type(space), space.shape, np.dtype(space.dtype), int(spaces.flatdim(space))


def _differ(what: str, one: Member, its: gymnasium.Space[Any], other: Member, others: gymnasium.Space[Any]) -> UsageError:
    return UsageError(
        f"The environments of a fleet differ in their {what}: {one.name} has {its}, and {other.name} has {others}; pad or "
        "flatten them in their makers, or play them in fleets of their own."
    )


def _bounds(found: Sequence[gymnasium.Space[Any]]) -> gymnasium.Space[Any]:
    """Return a space that holds the observations of all; Boxes may differ in their bounds."""
    first = found[0]
    boxes = [space for space in found if isinstance(space, spaces.Box)]
    if len(boxes) < len(found) or all(space == first for space in boxes):
        return first
    low, high = (np.stack([getattr(space, end) for space in boxes]) for end in ("low", "high"))
    return spaces.Box(low.min(0), high.max(0), boxes[0].shape, boxes[0].dtype.type)
