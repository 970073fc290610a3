"""Worlds generated once and kept: generation takes seconds, restoring one microseconds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import crafter  # type: ignore[import-untyped]
import numpy as np
from crafter import constants, objects, worldgen
from crafter.engine import World  # type: ignore[import-untyped]
from numpy.typing import NDArray

from omnitrain.engine import build_once

LAYOUT = 3
# What a complete world has at least: enough for every item up to the diamond.
NEEDED = {"tree": 8, "stone": 20, "coal": 2, "iron": 2, "diamond": 1}
_GROUND = {"tree": "grass", "stone": "grass", "coal": "stone", "iron": "stone", "diamond": "stone"}
_CHUNK = (12, 12)


@dataclass(frozen=True)
class Terrain:
    """One generated world. materials: ids uint8[area, area]. cows, zombies, skeletons: places int64[n, 2]."""

    materials: NDArray[np.uint8]
    cows: NDArray[np.int64]
    zombies: NDArray[np.int64]
    skeletons: NDArray[np.int64]


def new_world(area: int) -> World:
    """Return an empty crafter world."""
    return World((area, area), constants.materials, _CHUNK)


def generate(area: int, number: int) -> Terrain:
    """Generate world `number` with crafter's generator, and add what a small one lacks to be played to the end."""
    world = new_world(area)
    world.reset(seed=(number * 7919 + area) % (2**31 - 1))
    player = objects.Player(world, (area // 2, area // 2))
    world.add(player)
    worldgen.generate_world(world, player)
    _complete(world, player.pos, np.random.Generator(np.random.PCG64([area, number])))
    kinds = {objects.Cow: "cows", objects.Zombie: "zombies", objects.Skeleton: "skeletons"}
    places: dict[str, list[Any]] = {name: [] for name in kinds.values()}
    for thing in world.objects:
        if type(thing) in kinds:
            places[kinds[type(thing)]].append(thing.pos)
    arrays = {name: np.array(found, np.int64).reshape(-1, 2) for name, found in places.items()}
    return Terrain(world._mat_map.copy(), **arrays)


def _complete(world: World, start: NDArray[np.int64], generator: np.random.Generator) -> None:
    """Turn ground into what is missing, nearest to the middle first but never within 3 cells of the start."""
    for name, count in NEEDED.items():
        ground = world._mat_map == world._mat_ids[_GROUND[name]]
        places = np.argwhere(ground & (world._obj_map == 0))
        distance = np.abs(places - start).sum(-1) + generator.random(len(places)) * 8
        order = places[np.argsort(distance)]
        order = order[np.abs(order - start).max(-1) > 3]
        # Ores take the place of stone.
        wanted = count + sum(NEEDED[ore] for ore in ("coal", "iron", "diamond")) * (name == "stone")
        for place in order[: max(0, wanted - int(world.count(name)))]:
            world[place] = name


def terrain(folder: Path, area: int, number: int) -> Terrain:
    """Return world `number` of an area, from the folder where it is kept."""
    target = folder / f"world-{LAYOUT}-{crafter.__name__}-{area}-{number}"

    def build(path: Path) -> None:
        made = generate(area, number)
        np.savez(
            path / "terrain.npz",
            materials=made.materials,
            cows=made.cows,
            zombies=made.zombies,
            skeletons=made.skeletons,
        )

    build_once(target, build)
    with np.load(target / "terrain.npz", allow_pickle=False) as found:
        return Terrain(found["materials"], found["cows"], found["zombies"], found["skeletons"])
