"""What a decision transformer is given at each step of an episode: the last steps, and the return that is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


class History:
    """Episodes of several environments side by side, as far back as the context reaches.

    states: of the unified space, float[environment, width]. A new episode begins with what was observed at its reset. The
    present step has action and reward 0; the model does not see them. Returns to go begin at the target and are
    min(before - reward, target): they never rise above it.
    """

    def __init__(self, environments: int, context: int, states: int, actions: int) -> None:
        self.context = context
        rows = (environments, context)
        self._arrays: Arrays = {
            "observations": np.zeros((*rows, states), np.float32),
            "actions": np.zeros((*rows, actions), np.float32),
            "rewards": np.zeros(rows, np.float32),
            "returns_to_go": np.zeros(rows, np.float32),
            "timesteps": np.zeros(rows, np.int64),
            "attention_mask": np.zeros(rows, bool),
        }
        self._target = np.zeros(environments, np.float32)

    def begin(self, rows: NDArray[np.bool_], targets: NDArray[Any]) -> None:
        """Forget the episodes of some environments. targets: of the new ones, divided by the scale of rewards, float[n]."""
        for values in self._arrays.values():
            values[rows] = 0
        self._target[rows] = targets[rows]

    def observe(self, states: NDArray[Any]) -> None:
        """Begin the next step of every environment with what is observed now."""
        held = self._arrays
        begun = held["attention_mask"][:, -1]
        following = np.where(begun, held["timesteps"][:, -1] + 1, 0)
        asked = np.where(begun, np.minimum(held["returns_to_go"][:, -1] - held["rewards"][:, -1], self._target), self._target)
        for values in held.values():
            values[:, :-1] = values[:, 1:]
            values[:, -1] = 0
        held["observations"][:, -1] = states
        held["timesteps"][:, -1], held["returns_to_go"][:, -1], held["attention_mask"][:, -1] = following, asked, True

    def act(self, actions: NDArray[Any]) -> None:
        """Write what was done in the present step, float[environment, width]."""
        self._arrays["actions"][:, -1, : actions.shape[1]] = actions

    def reward(self, rewards: NDArray[Any]) -> None:
        """Write what the present step earned, divided by the scale, float[environment]."""
        self._arrays["rewards"][:, -1] = rewards

    def window(self) -> Arrays:
        """Return the last steps, [environment, context, ...], padded with zeros on the left."""
        return self._arrays
