"""Playing: an actor in a fleet of environments, as arrays for training or as finished episodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from omnitrain.api import Metric, Run, mean_metric, share_metric
from omnitrain_control.fleets import Fleet, Stepped


@dataclass(frozen=True)
class Decision:
    """What an actor does: one action per environment, and what is to be kept of the step, arrays [n, ...]."""

    actions: Sequence[Any]
    kept: Mapping[str, NDArray[Any]] = field(default_factory=dict)


class Actor(Protocol):
    """Something that plays. It holds its own memory and forgets a row's where `first` says so."""

    def act(self, observations: NDArray[Any], first: NDArray[np.bool_]) -> Decision:
        """Decide for observations [n, ...]; first bool[n] is True where an episode begins."""


@runtime_checkable
class Watches(Protocol):
    """Ability of an actor: it sees what came of each step, as one needs that reckons with rewards (a return to go) or ends."""

    def took(self, decision: Decision, stepped: Stepped) -> None:
        """Look at a step of all environments. decision: what was played, which another player may have changed.

        It is called after every step, before the next `act`; `stepped` holds the next episode's observation where one ended.
        """


def played_step(fleet: Fleet, actor: Actor, observations: NDArray[Any], first: NDArray[np.bool_]) -> tuple[Decision, Stepped]:
    """Let an actor decide for a fleet, step it, and show the actor what came of it; see `Watches`."""
    decision = actor.act(observations, first)
    stepped = fleet.step(decision.actions)
    if isinstance(actor, Watches):
        actor.took(decision, stepped)
    return decision, stepped


@dataclass(frozen=True)
class Rollout:
    """Steps of all environments, [environment, step, ...].

    first: [environment, step + 1]; the last column says whether the next step begins an episode. kept: what the actor kept.
    last: observations after the last step. finished: last info of each episode that ended, with "return", "length" and
    "terminated", false where it was cut. ends: what was observed behind the last step of each of these.
    """

    observations: NDArray[Any]
    rewards: NDArray[np.float64]
    first: NDArray[np.bool_]
    kept: dict[str, NDArray[Any]]
    last: NDArray[Any]
    finished: list[dict[str, Any]]
    ends: list[Any] = field(default_factory=list)


class Collector:
    """Goes on from rollout to rollout in the same episodes. State: observations, first, running returns, the fleet's."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.observations, _ = fleet.reset()
        self.first = np.ones(fleet.count, bool)
        self._returns, self._lengths = np.zeros(fleet.count), np.zeros(fleet.count, np.int64)

    def collect(self, actor: Actor, steps: int) -> Rollout:
        """Play so many steps in every environment."""
        observations, rewards, first, kept, finished, ends = [], [], [self.first], [], [], []
        for _ in range(steps):
            decision, stepped = played_step(self.fleet, actor, self.observations, self.first)
            observations.append(self.observations)
            kept.append(decision.kept)
            rewards.append(stepped.rewards)
            self._returns += stepped.rewards
            self._lengths += 1
            for row in map(int, np.flatnonzero(stepped.ended)):
                ends.append(stepped.infos[row]["last"])
                finished.append(self._finish(row, stepped.infos[row]["final"], bool(stepped.terminated[row])))
            self.observations, self.first = stepped.observations, stepped.ended
            first.append(self.first)
        return Rollout(
            np.stack(observations, 1),
            np.stack(rewards, 1),
            np.stack(first, 1),
            {name: np.stack([k[name] for k in kept], 1) for name in kept[0]},
            self.observations,
            finished,
            ends,
        )

    def _finish(self, row: int, info: Mapping[str, Any], terminated: bool) -> dict[str, Any]:
        """Return what is told of an ended episode, and count from 0 again."""
        told = {"return": float(self._returns[row]), "length": int(self._lengths[row])}
        self._returns[row], self._lengths[row] = 0.0, 0
        return {**info, "environment": row, "terminated": terminated, **told}

    def end(self, rows: Sequence[int], reset: bool = False) -> list[dict[str, Any]]:
        """End the episodes of some rows, by the learner's own decision; return what is told of each, as in `Rollout.finished`.

        The environments go on where they are: the next step is the first of an episode that begins there. reset: they begin
        their next episode instead. Both are saved and restored as everything else; environments that are not to end by
        themselves are made without a limit.
        """
        told = [self._finish(row, {}, False) for row in rows]
        self.first = self.first.copy()
        self.first[list(rows)] = True
        if reset:
            fresh, _ = self.fleet.reset(rows)
            self.observations = self.observations.copy()
            self.observations[list(rows)] = fresh
        return told

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


@dataclass
class Episode:
    """A whole episode: observations [step + 1, ...], what the actor kept [step, ...], rewards float64[step], its last info."""

    observations: NDArray[Any]
    kept: dict[str, NDArray[Any]]
    rewards: NDArray[np.float64]
    info: dict[str, Any]


Advance = Callable[[int, int], None]
"""Told after every step of all environments: (wanted episodes that ended in it, steps so far). It may raise to end the play."""


def whole_episodes(
    fleet: Fleet, actor: Actor, episodes: int, advance: Advance | None = None, observed: bool = True
) -> list[Episode]:
    """Play whole episodes; the last info of each has "return", "length" and "environment".

    Every environment plays the same number of episodes (rounded up), and episodes are taken in the order of environment and
    number: taking the first to finish would favour short ones. observed: keep observations, which take memory.
    """
    each = -(-episodes // fleet.count)
    found: list[list[Episode]] = [[] for _ in range(fleet.count)]
    running: list[list[tuple[Any, dict[str, Any], float]]] = [[] for _ in found]
    collector, steps = Collector(fleet), 0
    while any(len(rows) < each for rows in found):
        rollout = collector.collect(actor, 1)
        steps, ended = steps + 1, 0
        infos = {info["environment"]: (info, end) for info, end in zip(rollout.finished, rollout.ends, strict=True)}
        for row in range(fleet.count):
            if len(found[row]) == each:
                continue
            seen = rollout.observations[row, 0] if observed else None
            kept = {name: values[row, 0] for name, values in rollout.kept.items()}
            running[row].append((seen, kept, float(rollout.rewards[row, 0])))
            if row in infos:
                found[row].append(_episode(running[row], *infos[row]))
                running[row] = []
                ended += 1
        if advance is not None:
            advance(ended, steps)
    return [found[row][number] for number in range(each) for row in range(fleet.count)][:episodes]


def _episode(steps: Sequence[tuple[Any, dict[str, Any], float]], info: dict[str, Any], last: Any) -> Episode:
    observations, kept, rewards = zip(*steps, strict=True)
    seen = np.zeros((len(steps) + 1, 0)) if observations[0] is None else np.stack([*observations, last])
    return Episode(seen, {name: np.stack([k[name] for k in kept]) for name in kept[0]}, np.array(rewards), info)


def play_episodes(fleet: Fleet, actor: Actor, episodes: int, advance: Advance | None = None) -> list[dict[str, Any]]:
    """Play whole episodes as `whole_episodes` does; return the last info of each."""
    return [episode.info for episode in whole_episodes(fleet, actor, episodes, advance, observed=False)]


@contextmanager
def shown_play(run: Run, episodes: int) -> Iterator[Advance]:
    """Show how many episodes and steps were played; the play stops at its next step when the run is asked to stop."""
    with run.progress("episodes", episodes) as bar:
        yield lambda ended, steps: bar.advance(ended, steps=steps)


def episode_metrics(episodes: Sequence[Mapping[str, Any]]) -> dict[str, Metric]:
    """Return means over episodes, from the last info of each: "return", "length", and shares of success where they tell it.

    "success" is told as `success` (Meta-World) or `is_success` (gymnasium-robotics, Stable-Baselines3) of the last step,
    "success once" as `success_once`.
    """
    found = {
        "return": mean_metric([e["return"] for e in episodes], "higher"),
        "length": mean_metric([e["length"] for e in episodes], unit="steps"),
    }
    for name, keys in (("success", ("success", "is_success")), ("success once", ("success_once",))):
        for key in keys:
            if all(key in e and np.asarray(e[key]).dtype.kind in "biuf" and np.size(e[key]) == 1 for e in episodes):
                found[name] = share_metric(sum(bool(e[key]) for e in episodes), len(episodes))
                break
    return found
