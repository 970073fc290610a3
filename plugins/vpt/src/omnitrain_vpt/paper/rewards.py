"""The tiered reward of reinforcement: every item pays up to a quantity, once (app. G.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

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
