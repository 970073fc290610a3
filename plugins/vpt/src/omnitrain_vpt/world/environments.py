"""From settings to environments: the stand-in world, or a MineRL environment that a user has."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import gymnasium
import numpy as np

from omnitrain.errors import EnvironmentFault, UsageError
from omnitrain_control.environments import make_environment
from omnitrain_control.fleets import Fleet
from omnitrain_vpt.configs.data import WorldConfig
from omnitrain_vpt.configs.stages import RewardConfig
from omnitrain_vpt.paper.rewards import DIAMOND_PICKAXE, ItemRewards
from omnitrain_vpt.recordings.frames import resize
from omnitrain_vpt.world.interface import HumanInterface, is_minecraft
from omnitrain_vpt.world.terrain import terrain

RewardTable = dict[str, tuple[float, float]]


def make_interface(world: WorldConfig, folder: Path) -> HumanInterface:
    """Make the stand-in world. folder: where generated worlds are kept."""
    return HumanInterface(folder, world.area, world.worlds, world.first_world, world.calm, world.cell, world.steps)


class FramesOnly(gymnasium.ObservationWrapper[Any, Any, Any]):
    """A MineRL environment seen as frames: takes "pov" out of the observations."""

    def __init__(self, environment: gymnasium.Env[Any, Any]) -> None:
        super().__init__(environment)
        if not is_minecraft(environment.action_space):
            raise UsageError(
                f"{environment.spec.id if environment.spec else environment} does not have Minecraft's action space: expected "
                "a Dict of the 20 buttons and a camera of two angles."
            )
        space = environment.observation_space
        if isinstance(space, gymnasium.spaces.Dict):
            self.observation_space = space["pov"]

    def observation(self, observation: Any) -> Any:
        """Return the frame."""
        return observation["pov"] if isinstance(observation, dict) else observation


class Resized(gymnasium.ObservationWrapper[Any, Any, Any]):
    """Frames resized as those of recordings are."""

    def __init__(self, environment: gymnasium.Env[Any, Any], size: int) -> None:
        super().__init__(environment)
        self.size = size
        self.observation_space = gymnasium.spaces.Box(0, 255, (size, size, 3), np.uint8)

    def observation(self, observation: Any) -> Any:
        """Return uint8[size, size, 3]."""
        return np.ascontiguousarray(resize(observation, self.size))


def make_world(
    world: WorldConfig, folder: Path, size: int | None = None, rewards: RewardTable | None = None
) -> gymnasium.Env[Any, Any]:
    """Make what a policy plays. size: of the frames, None for the world's own. rewards: the table, None for none.

    Raises UsageError for an environment without Minecraft's action space or an unknown id.
    """
    made: gymnasium.Env[Any, Any]
    if world.environment == "crafter":
        made = make_interface(world, folder)
    else:
        made = make_environment(world.environment)
    if rewards is not None:
        made = RewardedItems(made, ItemRewards(rewards))
    if world.environment != "crafter":
        made = gymnasium.wrappers.TimeLimit(FramesOnly(made), world.steps)
    return made if size is None else Resized(made, size)


def make_fleet(
    world: WorldConfig,
    workspace: Path,
    count: int,
    seed: int,
    processes: int = 0,
    size: int | None = None,
    rewards: RewardTable | None = None,
) -> Fleet:
    """Make environments that are stepped together.

    Raises EnvironmentFault when a process ends.
    """
    folder = worlds_folder(workspace)
    if world.environment == "crafter":
        # Made here once, so that processes find them instead of each making its own.
        for number in range(world.worlds):
            terrain(folder, world.area, world.first_world + number)
    try:
        return Fleet(partial(make_world, world, folder, size, rewards), count, seed, processes)
    except ImportError as error:
        raise EnvironmentFault(f"{world.environment} can't be made: {error}; install what it needs.") from error


def worlds_folder(workspace: Path) -> Path:
    """Return the folder of generated worlds."""
    return workspace / "vpt-worlds"


def reward_table(config: RewardConfig) -> dict[str, tuple[float, float]]:
    """Return the table of a config."""
    return dict(config.items) if config.items is not None else dict(DIAMOND_PICKAXE)


@runtime_checkable
class CountsItems(Protocol):
    """An environment that tells what its player holds."""

    def items(self) -> Mapping[str, int]: ...


def held_items(environment: gymnasium.Env[Any, Any], observation: Any) -> Mapping[str, int]:
    """Return item counts: of the environment where it tells them, else of MineRL's observation."""
    bare = environment.unwrapped
    if isinstance(bare, CountsItems):
        return bare.items()
    if isinstance(observation, Mapping) and isinstance(observation.get("inventory"), Mapping):
        return {str(name): int(count) for name, count in observation["inventory"].items()}
    return {}


class RewardedItems(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment whose reward is that of items."""

    def __init__(self, environment: gymnasium.Env[Any, Any], rewards: ItemRewards) -> None:
        super().__init__(environment)
        self.rewards = rewards

    def reset(self, **arguments: Any) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; what is held at its start pays nothing."""
        observation, info = self.env.reset(**arguments)
        self.rewards.reset()
        self.rewards(held_items(self.env, observation))
        return observation, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step, with the items' reward in place of the environment's."""
        observation, _, terminated, truncated, info = self.env.step(action)
        reward = self.rewards(held_items(self.env, observation))
        if terminated or truncated:
            info = {**info, "items": dict(self.rewards.most)}
        return observation, reward, terminated, truncated, info
