"""Playing: an actor in a fleet of environments, as arrays for training or as finished episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from omnitrain_control.environments import Fleet


@dataclass(frozen=True)
class Decision:
    """What an actor does: one action per environment, and what is to be kept of the step, arrays [n, ...]."""

    actions: Sequence[Any]
    kept: Mapping[str, NDArray[Any]] = field(default_factory=dict)


class Actor(Protocol):
    """Something that plays. It holds its own memory and forgets a row's where `first` says so."""

    def act(self, observations: NDArray[Any], first: NDArray[np.bool_]) -> Decision:
        """Decide for observations [n, ...]; first bool[n] is True where an episode begins."""


@dataclass(frozen=True)
class Rollout:
    """Steps of all environments, [environment, step, ...].

    first: [environment, step + 1]; the last column says whether the next step begins an episode. kept: what the actor kept.
    last: observations after the last step. finished: last info of each episode that ended, with "return" and "length".
    """

    observations: NDArray[Any]
    rewards: NDArray[np.float64]
    first: NDArray[np.bool_]
    kept: dict[str, NDArray[Any]]
    last: NDArray[Any]
    finished: list[dict[str, Any]]


class Collector:
    """Goes on from rollout to rollout in the same episodes. State: observations, first, running returns, the fleet's."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.observations, _ = fleet.reset()
        self.first = np.ones(fleet.count, bool)
        self._returns, self._lengths = np.zeros(fleet.count), np.zeros(fleet.count, np.int64)

    def collect(self, actor: Actor, steps: int) -> Rollout:
        """Play so many steps in every environment."""
        observations, rewards, first, kept, finished = [], [], [self.first], [], []
        for _ in range(steps):
            decision = actor.act(self.observations, self.first)
            observations.append(self.observations)
            kept.append(decision.kept)
            stepped = self.fleet.step(decision.actions)
            rewards.append(stepped.rewards)
            self._returns += stepped.rewards
            self._lengths += 1
            for row in np.flatnonzero(stepped.ended):
                info = {**stepped.infos[row]["final"], "environment": int(row)}
                finished.append({**info, "return": float(self._returns[row]), "length": int(self._lengths[row])})
                self._returns[row], self._lengths[row] = 0.0, 0
            self.observations, self.first = stepped.observations, stepped.ended
            first.append(self.first)
        return Rollout(
            np.stack(observations, 1),
            np.stack(rewards, 1),
            np.stack(first, 1),
            {name: np.stack([k[name] for k in kept], 1) for name in kept[0]},
            self.observations,
            finished,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return where the episodes stand."""
        return {
            "fleet": self.fleet.state_dict(),
            "first": self.first.copy(),
            "returns": self._returns.copy(),
            "lengths": self._lengths.copy(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where that state stood."""
        self.observations = self.fleet.load_state_dict(state["fleet"])
        self.first = np.asarray(state["first"], bool)
        self._returns, self._lengths = np.array(state["returns"], np.float64), np.array(state["lengths"], np.int64)


def play_episodes(fleet: Fleet, actor: Actor, episodes: int) -> list[dict[str, Any]]:
    """Play whole episodes; return the last info of each, with "return", "length" and "environment".

    Every environment plays the same number of episodes (rounded up), and episodes are taken in the order of environment
    and number: taking the first to finish would favour short ones.
    """
    each = -(-episodes // fleet.count)
    found: list[list[dict[str, Any]]] = [[] for _ in range(fleet.count)]
    collector = Collector(fleet)
    while any(len(rows) < each for rows in found):
        for info in collector.collect(actor, 1).finished:
            found[info["environment"]].append(info)
    return [found[row][number] for number in range(each) for row in range(fleet.count)][:episodes]
