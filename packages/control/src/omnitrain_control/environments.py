"""Environments in groups: several per process, every episode seeded, every state restored by playing it again."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from omnitrain.errors import EnvironmentFault, UsageError
from omnitrain_control.configs.environments import EnvironmentConfig

Maker = Callable[[], "gymnasium.Env[Any, Any]"]


def make_environment(name: str, **settings: Any) -> gymnasium.Env[Any, Any]:
    """Make a registered gymnasium environment.

    Raises UsageError for a name that gymnasium does not know or settings that it refuses.
    """
    try:
        return gymnasium.make(name, **settings)
    except (gymnasium.error.Error, TypeError) as error:
        raise UsageError(f"gymnasium can't make the environment {name!r}: {error}.") from error


def episode_seed(seed: int, number: int) -> int:
    """Return the seed of an environment's n-th episode, 31 bits."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0] >> 1)


class EpisodeEnvironment:
    """An environment whose episodes are a function of (seed, number) and whose state is (number, actions so far).

    At the end of an episode the next one begins in the same step. Its state is restored by playing the actions again, so
    that it needs no help of the environment; one that is not deterministic goes on with another episode.
    """

    def __init__(self, environment: gymnasium.Env[Any, Any], seed: int) -> None:
        self.environment, self.seed = environment, seed
        self.number = -1
        self.actions: list[NDArray[np.float64]] = []

    def reset(self) -> tuple[Any, dict[str, Any]]:
        """Begin the next episode; return its observation and info."""
        self.number += 1
        self.actions = []
        return self.environment.reset(seed=episode_seed(self.seed, self.number))

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step; after an end the observation is the next episode's, and info["final"] holds the last info."""
        self.actions.append(np.asarray(gymnasium.spaces.flatten(self.environment.action_space, action), np.float64))
        observation, reward, terminated, truncated, info = self.environment.step(action)
        if terminated or truncated:
            observation, fresh = self.reset()
            info = {**fresh, "final": info}
        return observation, float(reward), bool(terminated), bool(truncated), info

    def state(self) -> tuple[int, NDArray[np.float64]]:
        """Return the episode's number and its flattened actions float64[steps, size]."""
        size = gymnasium.spaces.flatdim(self.environment.action_space)
        return self.number, np.stack(self.actions) if self.actions else np.zeros((0, size))

    def restore(self, number: int, actions: NDArray[np.float64]) -> Any:
        """Go to a saved state; return the observation there."""
        self.number = number - 1
        observation, _ = self.reset()
        space = self.environment.action_space
        dtype = gymnasium.spaces.flatten_space(space).dtype
        for flat in actions:
            observation, *_ = self.environment.step(gymnasium.spaces.unflatten(space, flat.astype(dtype)))
            self.actions.append(flat)
        return observation


def environment_seed(seed: int, row: int) -> int:
    """Return the seed of a fleet's environment; its n-th episode has `episode_seed` of that and n."""
    return episode_seed(seed, 1_000_003 + row)


@dataclass(frozen=True)
class Stepped:
    """What a step of all environments gave: observations [n, ...], rewards float64[n], ends bool[n], infos one each."""

    observations: NDArray[Any]
    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    infos: list[dict[str, Any]]

    @property
    def ended(self) -> NDArray[np.bool_]:
        """Where an episode has just ended, bool[n]."""
        return self.terminated | self.truncated


class _Group:
    """Some environments stepped one after the other in one process."""

    def __init__(self, makers: Sequence[Maker], seeds: Sequence[int]) -> None:
        self.members = [EpisodeEnvironment(make(), seed) for make, seed in zip(makers, seeds, strict=True)]

    def call(self, name: str, arguments: Any) -> Any:
        if name == "reset":
            return [member.reset() for member in self.members]
        if name == "step":
            return [member.step(action) for member, action in zip(self.members, arguments, strict=True)]
        if name == "state":
            return [member.state() for member in self.members]
        if name == "restore":
            return [member.restore(*state) for member, state in zip(self.members, arguments, strict=True)]
        first = self.members[0].environment
        return first.observation_space, first.action_space

    def close(self) -> None:
        for member in self.members:
            member.environment.close()


def _serve(connection: Connection, makers: Sequence[Maker], seeds: Sequence[int]) -> None:
    """Answer calls until the other end closes."""
    try:
        group = _Group(makers, seeds)
        while True:
            name, arguments = connection.recv()
            if name == "close":
                group.close()
                return
            connection.send((True, group.call(name, arguments)))
    except (EOFError, KeyboardInterrupt):
        return
    except Exception as error:  # told to the other side, which raises it with the environment's words
        connection.send((False, f"{type(error).__name__}: {error}"))


class Fleet:
    """Environments stepped together. processes 0 steps them all here, else they are shared out among processes.

    maker: makes one environment; it must be picklable when there are processes. The result is the same for every number
    of processes. Raises EnvironmentFault when a process ends or an environment fails in one.
    """

    def __init__(self, maker: Maker, count: int, seed: int, processes: int = 0) -> None:
        seeds = [environment_seed(seed, row) for row in range(count)]
        self.count = count
        self._here: _Group | None = None
        self._links: list[tuple[Any, Connection, int]] = []
        if processes == 0:
            self._here = _Group([maker] * count, seeds)
        else:
            # Spawned, not forked: the parent holds threads of torch, which a fork would copy in any state.
            context = multiprocessing.get_context("spawn")
            for part in np.array_split(np.arange(count), min(processes, count)):
                ours, theirs = context.Pipe()
                own = [seeds[i] for i in part]
                worker = context.Process(target=_serve, args=(theirs, [maker] * len(own), own), daemon=True)
                worker.start()
                theirs.close()
                self._links.append((worker, ours, len(own)))
        self.observation_space, self.action_space = self._call("spaces", None)[:2]

    def _call(self, name: str, arguments: Sequence[Any] | None) -> list[Any]:
        if self._here is not None:
            return list(self._here.call(name, arguments))
        done, results = 0, []
        try:
            for _, link, size in self._links:
                link.send((name, None if arguments is None else arguments[done : done + size]))
                done += size
            for _, link, _ in self._links:
                good, value = link.recv()
                if not good:
                    raise EnvironmentFault(f"An environment failed in its process: {value}.")
                results.extend(value)
        except (EOFError, BrokenPipeError, ConnectionResetError) as error:
            raise EnvironmentFault("A process of environments ended; the machine may be out of memory.") from error
        return results

    def reset(self) -> tuple[NDArray[Any], list[dict[str, Any]]]:
        """Begin the next episode everywhere; return observations [n, ...] and infos."""
        found = self._call("reset", None)
        return np.stack([observation for observation, _ in found]), [info for _, info in found]

    def step(self, actions: Sequence[Any]) -> Stepped:
        """Step every environment with its action."""
        found = self._call("step", actions)
        observations, rewards, terminated, truncated, infos = zip(*found, strict=True)
        return Stepped(
            np.stack(observations), np.array(rewards, np.float64), np.array(terminated), np.array(truncated), list(infos)
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the number and the actions of every running episode."""
        return {"episodes": [{"number": number, "actions": actions} for number, actions in self._call("state", None)]}

    def load_state_dict(self, state: Mapping[str, Any]) -> NDArray[Any]:
        """Go to a saved state; return the observations there."""
        saved = [(int(entry["number"]), np.asarray(entry["actions"])) for entry in state["episodes"]]
        return np.stack(self._call("restore", saved))

    def close(self) -> None:
        """End the environments and their processes."""
        if self._here is not None:
            self._here.close()
        for worker, link, _ in self._links:
            try:
                link.send(("close", None))
            except (BrokenPipeError, OSError):
                worker.terminate()
            worker.join(timeout=5)
            if worker.is_alive():
                worker.terminate()
                worker.join()
            link.close()
        self._links = []

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *ignored: object) -> None:
        self.close()


def make_fleet(config: EnvironmentConfig, seed: int) -> Fleet:
    """Make the environments of a config."""
    return Fleet(partial(make_environment, config.id, **config.settings), config.count, seed, config.processes)
