"""Where to go: cheapest paths over the map, digging included."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

import numpy as np
from crafter import constants  # type: ignore[import-untyped]

Cell = tuple[int, int]
DIRECTIONS: dict[str, Cell] = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
_DIG = 3.0
_THING = 6.0


def diggable(inventory: dict[str, int]) -> frozenset[str]:
    """Return the materials that the player's tools can remove from a path."""
    found = set()
    if inventory["wood_pickaxe"]:
        found |= {"stone", "coal"}
    if inventory["stone_pickaxe"]:
        found.add("iron")
    if inventory["iron_pickaxe"]:
        found.add("diamond")
    return frozenset(found)


def cheapest_path(world: Any, start: Cell, reached: Callable[[Cell], bool], dig: frozenset[str]) -> list[Cell] | None:
    """Return the cells of the cheapest path from `start` (left out) to the first cell for which `reached` is true.

    Walking costs 1 a cell, digging through one 3, past an animal 6; water, lava and trees are walls. None without a path;
    an empty list when the start is such a cell.
    """
    names = [None, *constants.materials]
    cost_of = dict.fromkeys(constants.walkable, 1.0) | dict.fromkeys(dig, _DIG)
    cost_by_id = np.array([cost_of.get(name, np.inf) for name in names])
    costs = cost_by_id[world._mat_map]
    things = world._obj_map > 0
    width, height = costs.shape
    best: dict[Cell, float] = {start: 0.0}
    before: dict[Cell, Cell] = {}
    queue: list[tuple[float, Cell]] = [(0.0, start)]
    while queue:
        cost, cell = heapq.heappop(queue)
        if cost > best[cell]:
            continue
        if reached(cell):
            path = []
            while cell != start:
                path.append(cell)
                cell = before[cell]
            return path[::-1]
        for dx, dy in DIRECTIONS.values():
            x, y = cell[0] + dx, cell[1] + dy
            if not (0 <= x < width and 0 <= y < height) or costs[x, y] == np.inf:
                continue
            further = cost + float(costs[x, y]) + (_THING if things[x, y] else 0.0)
            if further < best.get((x, y), np.inf):
                best[(x, y)] = further
                before[(x, y)] = cell
                heapq.heappush(queue, (further, (x, y)))
    return None


def beside(world: Any, material: str) -> Callable[[Cell], bool]:
    """Return a test: does a cell have a neighbour of this material?"""
    ids = world._mat_map == world._mat_ids[material]
    width, height = ids.shape

    def test(cell: Cell) -> bool:
        return any(
            0 <= cell[0] + dx < width and 0 <= cell[1] + dy < height and bool(ids[cell[0] + dx, cell[1] + dy])
            for dx, dy in DIRECTIONS.values()
        )

    return test
