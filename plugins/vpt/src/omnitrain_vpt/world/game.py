"""Crafter's rules on kept worlds, with a calm mode; draws only what is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from crafter import constants, objects  # type: ignore[import-untyped]
from crafter.env import Env  # type: ignore[import-untyped]
from numpy.typing import NDArray

from omnitrain_vpt.world.drawing import VIEW, Painter
from omnitrain_vpt.world.terrain import Terrain, new_world, terrain

NEEDS = ("health", "food", "drink", "energy")
_FULL = 9


class _Balance(Env):  # type: ignore[misc]
    """Crafter's own rules for animals and monsters that come and go, on our world."""

    def __init__(self, world: Any, player: Any) -> None:
        self._world, self._player = world, player


class Game:
    """One player in a kept world.

    area: side of the world in cells. worlds: an episode takes one of the worlds first, first + 1, ... first + worlds - 1 by
    its seed. calm: no monsters, needs stay full, always day. unit: pixels of a cell. folder: where worlds are kept.
    """

    def __init__(self, folder: Path, area: int, worlds: int, first: int, calm: bool, unit: int) -> None:
        self.folder, self.area, self.worlds, self.first, self.calm = folder, area, worlds, first, calm
        self.painter = Painter(unit)
        self._kept: dict[int, Terrain] = {}
        self.world: Any = new_world(area)
        self.player: Any = None
        self.steps = 0
        self._balance: Callable[..., None] | None = None

    def reset(self, seed: int) -> None:
        """Begin an episode; everything in it follows from the seed."""
        number = self.first + seed % self.worlds
        if number not in self._kept:
            self._kept[number] = terrain(self.folder, self.area, number)
        kept, world = self._kept[number], self.world
        world.reset(seed=seed % (2**31 - 1))
        world._mat_map[:] = kept.materials
        self.player = objects.Player(world, (self.area // 2, self.area // 2))
        world.add(self.player)
        for place in kept.cows:
            world.add(objects.Cow(world, place))
        if not self.calm:
            for place in kept.zombies:
                world.add(objects.Zombie(world, place, self.player))
            for place in kept.skeletons:
                world.add(objects.Skeleton(world, place, self.player))
            self._balance = _Balance(world, self.player)._balance_chunk
        self.steps = 0
        self._set_daylight()

    def _set_daylight(self) -> None:
        progress = self.steps / 300 % 1 + 0.3
        self.world.daylight = 1.0 if self.calm else 1 - np.abs(np.cos(np.pi * progress)) ** 3

    def step(self, action: str) -> bool:
        """Do one of crafter's actions; return whether the player is still alive."""
        self.steps += 1
        self._set_daylight()
        self.player.action = action
        for thing in self.world.objects:
            if self.player.distance(thing) < 2 * VIEW:
                thing.update()
        if self.calm:
            for need in NEEDS[1:]:
                self.player.inventory[need] = _FULL
        elif self.steps % 10 == 0 and self._balance is not None:
            for chunk, members in self.world.chunks.items():
                self._balance(chunk, members)
        return bool(self.player.health > 0)

    def frame(self) -> NDArray[np.uint8]:
        """Return the picture uint8[9 unit, 9 unit, 3]."""
        return self.painter.paint(self.world, self.player, not self.calm)

    @property
    def inventory(self) -> dict[str, int]:
        """Counts of what the player carries, by crafter's names."""
        return {name: int(count) for name, count in self.player.inventory.items() if name not in NEEDS}

    @property
    def achievements(self) -> dict[str, int]:
        """How often each of crafter's 22 achievements was reached in this episode."""
        return {name: int(count) for name, count in self.player.achievements.items()}


ACHIEVEMENTS: tuple[str, ...] = tuple(constants.achievements)
