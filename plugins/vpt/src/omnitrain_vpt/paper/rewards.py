"""The tiered reward of reinforcement: every item pays up to a quantity, once (app. G.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import gymnasium

DIAMOND_PICKAXE: Mapping[str, tuple[float, float]] = {
    "log": (8, 1.0),
    "planks": (20, 1.0),
    "stick": (16, 1.0),
    "crafting_table": (1, 1.0),
    "wooden_pickaxe": (1, 1.0),
    "cobblestone": (11, 1.0),
    "stone_pickaxe": (1, 1.0),
    "furnace": (1, 1.0),
    "coal": (5, 2.0),
    "torch": (16, 2.0),
    "iron_ore": (3, 4.0),
    "iron_ingot": (3, 4.0),
    "iron_pickaxe": (1, 4.0),
    "diamond": (0, 8 / 3),
    "diamond_pickaxe": (0, 8.0),
}
"""Item to (quantity, reward of all of it); quantity 0: without end, each. Log 8 x 1/8, torch 16 x 1/8."""


class ItemRewards:
    """Pays when the most that was ever held of an item rises, while it is below its quantity.

    table: see `DIAMOND_PICKAXE`. What was dropped and picked up again pays nothing.
    """

    def __init__(self, table: Mapping[str, tuple[float, float]] = DIAMOND_PICKAXE) -> None:
        self.table = dict(table)
        self.most: Counter[str] = Counter()

    def reset(self) -> None:
        """Begin an episode."""
        self.most = Counter()

    def __call__(self, counts: Mapping[str, int]) -> float:
        """Return the reward of a step with these counts; items that the table lacks pay nothing."""
        total = 0.0
        for item, (quantity, whole) in self.table.items():
            held = int(counts.get(item, 0))
            before = self.most[item]
            if held <= before:
                continue
            self.most[item] = held
            if quantity:
                total += (min(held, quantity) - min(before, quantity)) * whole / quantity
            else:
                total += (held - before) * whole
        return float(total)


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
