"""A fleet as Stable-Baselines3 sees environments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from omnitrain_control.fleets import Fleet

Observe = Callable[[Any], Any]
Act = Callable[[Any], Sequence[Any]]


class SpacesOnly(VecEnv):
    """Spaces without environments, for an algorithm that is only made, to check its settings or to hold a policy."""

    def __init__(self, count: int, observation_space: gymnasium.Space[Any], action_space: gymnasium.Space[Any]) -> None:
        super().__init__(count, observation_space, action_space)

    def reset(self) -> Any:
        """Refuse: there is nothing to play in."""
        raise NotImplementedError

    def step_async(self, actions: Any) -> None:
        """Refuse: there is nothing to play in."""
        raise NotImplementedError

    def step_wait(self) -> Any:
        """Refuse: there is nothing to play in."""
        raise NotImplementedError

    def close(self) -> None:
        """Do nothing."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Tell an attribute; the environments live elsewhere and have none but their render mode."""
        return [None] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refuse: the environments live elsewhere."""
        raise AttributeError(attr_name)

    def env_method(self, method_name: str, *arguments: Any, indices: Any = None, **named: Any) -> list[Any]:
        """Refuse: the environments live elsewhere."""
        raise AttributeError(method_name)

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Tell that they are not."""
        return [False] * self.num_envs


class FleetVecEnv(SpacesOnly):
    """The environments of a fleet.

    observe: turns a fleet's observations [n, ...] into the algorithm's; act: an algorithm's actions into the fleet's, one
    each. bootstrap: hand on the last observation of an episode, from which an algorithm bootstraps a cut one; without it a
    cut episode counts as an ended one. check: called before each step; it may raise to leave the rollout.
    finished: {"return", "length"} of the episodes that ended since the list was last emptied.
    """

    def __init__(
        self,
        fleet: Fleet,
        observation_space: gymnasium.Space[Any],
        action_space: gymnasium.Space[Any],
        observe: Observe,
        act: Act,
        bootstrap: bool = True,
    ) -> None:
        super().__init__(fleet.count, observation_space, action_space)
        self.fleet, self._observe, self._act, self._bootstrap = fleet, observe, act, bootstrap
        self.check: Callable[[], None] = lambda: None
        self.finished: list[dict[str, float]] = []
        self._actions: Any = None
        self._returns, self._lengths = np.zeros(fleet.count), np.zeros(fleet.count, np.int64)

    def reset(self) -> Any:
        """Begin episodes everywhere."""
        self._returns[:], self._lengths[:] = 0.0, 0
        return self._observe(self.fleet.reset()[0])

    def step_async(self, actions: Any) -> None:
        """Take the actions of the next step."""
        self.check()
        self._actions = actions

    def step_wait(self) -> Any:
        """Do the step."""
        stepped = self.fleet.step(self._act(self._actions))
        self._returns += stepped.rewards
        self._lengths += 1
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for row in np.flatnonzero(stepped.ended):
            infos[row] = self._ended(int(row), stepped.infos[row], bool(stepped.truncated[row] and not stepped.terminated[row]))
        return self._observe(stepped.observations), stepped.rewards.astype(np.float32), stepped.ended, infos

    def _ended(self, row: int, info: Mapping[str, Any], cut: bool) -> dict[str, Any]:
        """Note the end of an episode; return what Stable-Baselines3 is told of it."""
        episode = {"r": float(self._returns[row]), "l": int(self._lengths[row])}
        self.finished.append({"return": episode["r"], "length": episode["l"]})
        self._returns[row], self._lengths[row] = 0.0, 0
        told: dict[str, Any] = {"episode": episode, "TimeLimit.truncated": cut and self._bootstrap}
        if "is_success" in info["final"]:
            told["is_success"] = bool(info["final"]["is_success"])
        if self._bootstrap:
            last = self._observe(np.asarray(info["last"])[None])
            told["terminal_observation"] = {k: v[0] for k, v in last.items()} if isinstance(last, dict) else last[0]
        return told

    def state_dict(self) -> dict[str, Any]:
        """Return where the episodes stand."""
        running = {"returns": self._returns.copy(), "lengths": self._lengths.copy()}
        return {"fleet": self.fleet.state_dict(), "finished": list(self.finished), **running}

    def load_state_dict(self, state: Mapping[str, Any]) -> Any:
        """Go on from a saved state; return the observations there."""
        self._returns, self._lengths = np.array(state["returns"]), np.array(state["lengths"])
        self.finished = list(state["finished"])
        return self._observe(self.fleet.load_state_dict(state["fleet"]))

    def close(self) -> None:
        """End the environments."""
        self.fleet.close()
