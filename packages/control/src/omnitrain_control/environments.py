"""Environments in groups: several per process, every episode seeded, every state restored by playing it again."""

from __future__ import annotations

import copy
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from omnitrain.errors import EnvironmentFault, OmnitrainError, UsageError, said_by
from omnitrain_control.configs.environments import EnvironmentConfig
from omnitrain_control.observations import FlatObservations, is_vector, source_space

Maker = Callable[[], "gymnasium.Env[Any, Any]"]


def make_environment(name: str, /, **settings: Any) -> gymnasium.Env[Any, Any]:
    """Make a registered gymnasium environment.

    Raises UsageError for a name that gymnasium does not know or settings that it refuses, EnvironmentFault where something is
    not installed or the environment itself fails.
    """
    try:
        return gymnasium.make(name, **settings)
    except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
        module, named, _ = name.partition(":")
        if named and f"No module named {module!r}" in str(error):
            raise EnvironmentFault(
                f"The environment {name!r} is of the module {module!r}, which is not there: install it, or name its folder in "
                "PYTHONPATH."
            ) from error
        raise EnvironmentFault(f"The environment {name!r} needs what is not installed: {words(error)}.") from error
    except (gymnasium.error.Error, TypeError) as error:
        raise UsageError(f"gymnasium can't make the environment {name!r}: {words(error)}.") from error
    except OmnitrainError:
        raise
    except Exception as error:
        raise EnvironmentFault(f"The environment {name!r} fails when it is made: {named_words(error)}.") from error


def words(error: Exception) -> str:
    """Return what an error says, in one line without a full stop."""
    return said_by(error).rstrip(".") or type(error).__name__


def named_words(error: Exception) -> str:
    """Return an error's kind and what it says."""
    return f"{type(error).__name__}: {words(error)}" if str(error) else type(error).__name__


def make_game(name: str, settings: Mapping[str, Any], steps: int | None = None) -> gymnasium.Env[Any, Any]:
    """Make an environment whose observations are vectors. steps: most of an episode, None for the environment's own limit.

    Raises UsageError also for observations that can't be vectors.
    """
    made = make_environment(name, **settings)
    if steps is not None:
        made = gymnasium.wrappers.TimeLimit(made, steps)
    return made if is_vector(made.observation_space) else FlatObservations(made)


def episode_seed(seed: int, number: int) -> int:
    """Return the seed of an environment's n-th episode, 31 bits."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0] >> 1)


class EpisodeEnvironment:
    """An environment whose episodes are a function of (seed, number) and whose state is (number, actions so far).

    At the end of an episode the next one begins in the same step. Its state is restored by playing the actions again, so
    that it needs no help of the environment; one that is not deterministic goes on with another episode. What the environment
    raises, or returns against gymnasium's interface, is an EnvironmentFault with its own words.
    """

    def __init__(self, environment: gymnasium.Env[Any, Any], seed: int) -> None:
        self.environment, self.seed = environment, seed
        self.name = environment.spec.id if environment.spec is not None else type(environment.unwrapped).__name__
        self.number = -1
        self.actions: list[NDArray[np.float64]] = []

    def _asked(self, doing: str, gives: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call the environment; return a tuple of as many parts as `gives` names."""
        try:
            found = function(*arguments, **named)
        except OmnitrainError:
            raise
        except Exception as error:
            raise EnvironmentFault(f"The environment {self.name} fails in {doing}: {named_words(error)}.") from error
        if not isinstance(found, tuple) or len(found) != gives.count(",") + 1 or not isinstance(found[-1], Mapping):
            given = f"{len(found)} values" if isinstance(found, tuple) else type(found).__name__
            raise EnvironmentFault(
                f"The environment {self.name} does not keep gymnasium's interface: {doing} gives {given}, expected ({gives})."
            )
        return found

    def _reset(self, seed: int) -> Any:
        observation, info = self._asked("reset(seed=...)", "observation, info", self.environment.reset, seed=seed)
        self._check_number("observation", observation)
        return observation, info

    def _step(self, action: Any) -> Any:
        gives = "observation, reward, terminated, truncated, info"
        observation, reward, *rest = self._asked("step(action)", gives, self.environment.step, action)
        number = np.asarray(reward)
        if number.dtype.kind not in "biuf" or number.size != 1:
            raise EnvironmentFault(f"The environment {self.name} gives the reward {reward!r}; expected a number.")
        self._check_number("reward", number)
        self._check_number("observation", observation)
        return observation, float(number.item()), *rest

    def _check_number(self, what: str, value: Any) -> None:
        """Refuse what is not a number: no mean of returns and no update is one after it."""
        try:
            array = np.asarray(value)
        except ValueError as error:
            raise EnvironmentFault(f"The environment {self.name}: {what} {value!r} is no array of numbers.") from error
        if array.dtype.kind == "f" and bool(np.isnan(array).any()):
            raise EnvironmentFault(
                f"The environment {self.name}: {what} {value!r} has NaN, in step {len(self.actions)} of episode {self.number}; "
                "correct the environment, or give it a wrapper that replaces the value."
            )

    def repeats(self, steps: int = 3) -> bool:
        """Tell whether the first steps of two episodes with one seed are the same."""
        traces = []
        for _ in range(2):
            space = copy.deepcopy(self.environment.action_space)
            space.seed(self.seed)
            observation, _ = self._reset(self.seed)
            trace, over = [np.asarray(observation)], False
            while not over and len(trace) <= steps:
                observation, _, terminated, truncated, _ = self._step(space.sample())
                over = bool(terminated or truncated)
                trace.append(np.asarray(observation))
            traces.append(trace)
        return len(traces[0]) == len(traces[1]) and all(map(_equal, *traces))

    def reset(self) -> tuple[Any, dict[str, Any]]:
        """Begin the next episode; return its observation and info."""
        self.number += 1
        self.actions = []
        observation, info = self._reset(episode_seed(self.seed, self.number))
        return observation, dict(info)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step; after an end the observation is the next episode's; info holds the last info as "final", and as "last" the
        observation that it came with."""
        self.actions.append(np.asarray(gymnasium.spaces.flatten(self.environment.action_space, action), np.float64))
        observation, reward, terminated, truncated, info = self._step(action)
        if terminated or truncated:
            last = observation
            observation, fresh = self.reset()
            info = {**fresh, "final": info, "last": last}
        return observation, reward, bool(terminated), bool(truncated), info

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
            observation, *_ = self._step(gymnasium.spaces.unflatten(space, flat.astype(dtype)))
            self.actions.append(flat)
        return observation


def _limit(environment: gymnasium.Env[Any, Any]) -> int | None:
    """Return the most steps of an episode as gymnasium's wrapper counts them, or None."""
    limits = []
    while isinstance(environment, gymnasium.Wrapper):
        if isinstance(environment, gymnasium.wrappers.TimeLimit):
            limits.append(int(environment._max_episode_steps))
        environment = environment.env
    return min(limits, default=None)


def _equal(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and one.tobytes() == other.tobytes()


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
        if name == "repeats":
            return [self.members[0].repeats()]
        first = self.members[0].environment
        return first.observation_space, first.action_space, source_space(first), _limit(first)

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
    except OmnitrainError as error:
        connection.send((False, error))
    except Exception as error:  # told to the other side, which raises it with the environment's words
        connection.send((False, EnvironmentFault(f"An environment failed in its process: {named_words(error)}.")))


class Fleet:
    """Environments stepped together. processes 0 steps them all here, else they are shared out among processes.

    maker: makes one environment; it must be picklable when there are processes. The result is the same for every number
    of processes, faults as well. source_space: of observations before they were made vectors. limit: most steps of an episode,
    None where the environments have none. Raises EnvironmentFault when a process ends or an environment fails.
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
        self.observation_space, self.action_space, self.source_space, self.limit = self._call("spaces", None)[:4]

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
                    raise value
                results.extend(value)
        except (EOFError, BrokenPipeError, ConnectionResetError) as error:
            raise EnvironmentFault("A process of environments ended; the machine may be out of memory.") from error
        return results

    def reset(self) -> tuple[NDArray[Any], list[dict[str, Any]]]:
        """Begin the next episode everywhere; return observations [n, ...] and infos."""
        found = self._call("reset", None)
        return self._together([observation for observation, _ in found]), [info for _, info in found]

    def repeats(self) -> bool:
        """Tell whether episodes are decided by their seeds, by the first steps of some; the running ones end."""
        return all(self._call("repeats", None))

    def _together(self, observations: Sequence[Any]) -> NDArray[Any]:
        shapes = {np.shape(observation) for observation in observations}
        wanted = self.observation_space.shape
        if len(shapes) > 1 or (wanted is not None and shapes != {wanted}):
            found = " and ".join(map(str, sorted(shapes)))
            raise EnvironmentFault(
                f"Environments give observations of the shape {found}; their space is {self.observation_space}."
            )
        return np.stack(observations)

    def step(self, actions: Sequence[Any]) -> Stepped:
        """Step every environment with its action."""
        found = self._call("step", actions)
        observations, rewards, terminated, truncated, infos = zip(*found, strict=True)
        return Stepped(
            self._together(observations), np.array(rewards, np.float64), np.array(terminated), np.array(truncated), list(infos)
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the number and the actions of every running episode."""
        return {"episodes": [{"number": number, "actions": actions} for number, actions in self._call("state", None)]}

    def load_state_dict(self, state: Mapping[str, Any]) -> NDArray[Any]:
        """Go to a saved state; return the observations there."""
        saved = [(int(entry["number"]), np.asarray(entry["actions"])) for entry in state["episodes"]]
        return self._together(self._call("restore", saved))

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
    """Make the environments of a config, whose observations are vectors.

    Raises UsageError where it names none, or their observations can't be vectors.
    """
    if config.id is None:
        raise UsageError("No game is named: set environment.id to the registered name of a gymnasium environment.")
    return Fleet(partial(make_game, config.id, config.settings, config.steps), config.count, seed, config.processes)
