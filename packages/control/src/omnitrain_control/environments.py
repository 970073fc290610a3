"""Environments as they are made, and their episodes: every one seeded, every state restored by playing it again."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from omnitrain.errors import EnvironmentFault, OmnitrainError, UsageError, said_by
from omnitrain_control.observations import FlatObservations, check_type, is_vector

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


def name_of(environment: gymnasium.Env[Any, Any]) -> str:
    """Return what an environment calls itself in its attribute `name`, else its registered name, else that of its class."""
    name = getattr(environment.unwrapped, "name", None)
    if isinstance(name, str):
        return name
    return environment.spec.id if environment.spec is not None else type(environment.unwrapped).__name__


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
        self.name = name_of(environment)
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
        check_type(self.environment.observation_space, observation, f"The environment {self.name}")
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


def _equal(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and one.tobytes() == other.tobytes()


def environment_seed(seed: int, row: int) -> int:
    """Return the seed of a fleet's environment; its n-th episode has `episode_seed` of that and n."""
    return episode_seed(seed, 1_000_003 + row)
