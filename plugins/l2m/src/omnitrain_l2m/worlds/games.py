"""Two families of worlds that need no simulator: a point on a plane, two actions, and a cart on a rail, one action.

Tasks of a family differ in what the controls do and in the scene, numbers that stand in every observation: what is right in
one task is wrong in another, and the scene tells which it is. Importing this module registers them in gymnasium.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from omnitrain.errors import UsageError

GAME = "omnitrain_l2m.worlds.games:L2MWorld-v0"
HORIZON = 40
NEAR, SCENE = 0.1, 4
Vector = NDArray[np.float64]


def _turn(degrees: float) -> Vector:
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


@dataclass(frozen=True)
class Task:
    """controls: the matrix from actions to movement. family: "plane" or "rail"."""

    name: str
    family: str
    controls: Vector

    @property
    def scene(self) -> Vector:
        """What is seen of the task, float64[4] in [-1, 1]."""
        return np.random.default_rng(zlib.crc32(self.name.encode())).uniform(-1, 1, SCENE)

    @property
    def width(self) -> int:
        """How many actions there are."""
        return len(self.controls)


TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task("plane-straight", "plane", np.eye(2)),
        Task("plane-swapped", "plane", np.array([[0.0, 1.0], [1.0, 0.0]])),
        Task("plane-mirrored", "plane", np.diag([-1.0, 1.0])),
        Task("plane-reversed", "plane", -np.eye(2)),
        Task("plane-turned", "plane", _turn(90)),
        Task("plane-turned-back", "plane", _turn(-90)),
        Task("rail-straight", "rail", np.array([[1.0]])),
        Task("rail-reversed", "rail", np.array([[-1.0]])),
        Task("rail-slow", "rail", np.array([[0.5]])),
        Task("rail-slow-reversed", "rail", np.array([[-0.5]])),
    )
}


def task_named(name: str) -> Task:
    """Return a task. Raises UsageError for an unknown one, which names those that there are."""
    if name not in TASKS:
        raise UsageError(f"There is no world {name!r}; expected one of {', '.join(TASKS)}, or data by path or data.")
    return TASKS[name]


class World(gymnasium.Env[NDArray[np.float32], NDArray[np.float32]]):
    """One task. Observations float32: position, goal and scene; on the rail the speed stands beside the position.

    A step earns 1 less the distance to the goal; the info "success" says whether the goal is near.
    """

    def __init__(self, task: str) -> None:
        self.task = task_named(task)
        self._rail = self.task.family == "rail"
        size = 3 + SCENE if self._rail else 4 + SCENE
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (self.task.width,), np.float32)
        self.position, self.goal, self.speed = (np.zeros(self.task.width) for _ in range(3))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Put the body and the goal anywhere."""
        super().reset(seed=seed)
        self.position, self.goal = self.np_random.uniform(-1, 1, (2, self.task.width))
        self.speed = np.zeros(self.task.width)
        return self._seen(), {"success": False}

    def step(self, action: NDArray[Any]) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Move: on the plane by 0.15 of the action, on the rail by the speed, which the action changes."""
        push = self.task.controls @ np.clip(np.asarray(action, float), -1, 1)
        if self._rail:
            self.speed = 0.8 * self.speed + 0.05 * push
            self.position = self.position + self.speed
        else:
            self.position = self.position + 0.15 * push
        self.position = np.clip(self.position, -1.5, 1.5)
        away = float(np.linalg.norm(self.goal - self.position))
        return self._seen(), 1.0 - away, False, False, {"success": away < NEAR}

    def _seen(self) -> NDArray[np.float32]:
        moving = [self.speed] if self._rail else []
        return np.concatenate([self.position, *moving, self.goal, self.task.scene]).astype(np.float32)


def expert_action(task: Task, observation: NDArray[Any]) -> NDArray[np.float32]:
    """Return what leads to the goal, float32[width] in [-1, 1]: a step towards it, on the rail with the speed braked."""
    seen = np.asarray(observation, float)
    if task.family == "rail":
        position, speed, goal = seen[:1], seen[1:2], seen[2:3]
        wish = np.clip(8 * (goal - position) - 16 * speed, -1, 1)
    else:
        position, goal = seen[:2], seen[2:4]
        wish = (goal - position) / 0.15
        wish = wish / max(1.0, float(np.abs(wish).max()))
    action: NDArray[np.float32] = np.clip(np.linalg.inv(task.controls) @ wish, -1, 1).astype(np.float32)
    return action


def register() -> None:
    """Make the worlds known to gymnasium."""
    name = GAME.partition(":")[2]
    if name not in gymnasium.registry:
        gymnasium.register(name, entry_point="omnitrain_l2m.worlds.games:World", max_episode_steps=HORIZON)


register()
