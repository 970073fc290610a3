"""Scripted players: an expert that plans to the diamond, and noise that makes others of it.

They alone, and the metrics, look into the simulator; everything that learns sees frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from crafter import constants  # type: ignore[import-untyped]

from omnitrain_vpt.paper.minecraft import DEGREES_PER_PIXEL, Action
from omnitrain_vpt.world.interface import SLOTS, HumanInterface
from omnitrain_vpt.world.planning import DIRECTIONS, Cell, beside, cheapest_path, diggable

GOALS: tuple[str, ...] = ("wood", "wood_pickaxe", "stone_pickaxe", "iron_pickaxe", "diamond")
"""How far a player goes; after its last goal it wanders."""
_BUTTON = {"move_up": "forward", "move_down": "back", "move_left": "left", "move_right": "right", "do": "attack"}
_WOOD = 3 + constants.place["table"]["uses"]["wood"]


@dataclass(frozen=True)
class Habits:
    """How a player differs from a perfect one.

    noise: probability of beginning a stretch of random presses, each step. idle: probability of doing nothing in a step.
    look: probability of moving the mouse. goal: the last of `GOALS` that it plans for.
    """

    noise: float = 0.0
    idle: float = 0.15
    look: float = 0.15
    goal: str = "diamond"


class Player:
    """Decides from the simulator's state. generator: of everything that it draws."""

    def __init__(self, interface: HumanInterface, habits: Habits, generator: np.random.Generator) -> None:
        self.interface, self.habits, self.generator = interface, habits, generator
        self._path: list[Cell] = []
        self._aim: str | None = None
        self._random_left = 0

    def act(self) -> tuple[list[str], tuple[float, float]]:
        """Return (pressed buttons, camera (pitch, yaw) in degrees) for the next frame."""
        draw = self.generator
        camera = self._look()
        if self._random_left == 0 and draw.random() < self.habits.noise:
            self._random_left = int(draw.integers(2, 6))
        if self._random_left:
            self._random_left -= 1
            self._path = []
            return self._press(str(draw.choice([*list(_BUTTON), "place_stone", "noop"]))), camera
        if draw.random() < self.habits.idle:
            return [], camera
        return self._press(self.decide()), camera

    def _press(self, action: str) -> list[str]:
        """Return the buttons for one of crafter's actions; a slot is chosen in the step in which it is used."""
        if action in _BUTTON:
            return [_BUTTON[action]]
        if action in SLOTS and action != "noop":
            slot = SLOTS.index(action)
            return ["use"] if self.interface.slot == slot else [f"hotbar.{slot + 1}", "use"]
        return []

    def _look(self) -> tuple[float, float]:
        """Return mouse movement, drawn in whole pixels and inclined back to the middle."""
        if self.generator.random() >= self.habits.look:
            return 0.0, 0.0
        target = self.generator.normal(0.0, 4.0, 2)
        pixels = np.rint((target - self.interface.view) / DEGREES_PER_PIXEL).astype(int)
        return float(pixels[0] * DEGREES_PER_PIXEL), float(pixels[1] * DEGREES_PER_PIXEL)

    @property
    def _here(self) -> Cell:
        x, y = self.interface.game.player.pos
        return int(x), int(y)

    def _near(self, material: str) -> bool:
        game = self.interface.game
        found, _ = game.world.nearby(game.player.pos, 1)
        return material in found

    def decide(self) -> str:
        """Return the next of crafter's actions on the way to the goal (the recipe as a state machine)."""
        held = self.interface.game.inventory
        last = GOALS.index(self.habits.goal)
        stages = (self._wood, self._wood_pickaxe, self._stone_pickaxe, self._iron_pickaxe, self._diamond)
        for number, stage in enumerate(stages[: last + 1]):
            action = stage(held)
            if action is not None:
                return action
            if number == last:
                break
        return self._wander()

    def finished(self) -> bool:
        """Whether the player holds what it plans for."""
        held = self.interface.game.inventory
        return held["wood"] >= _WOOD if self.habits.goal == "wood" else held[self.habits.goal] > 0

    def _wood(self, held: dict[str, int]) -> str | None:
        if held["wood_pickaxe"] or held["wood"] >= _WOOD or self._near("table"):
            return None
        return self._collect("tree")

    def _wood_pickaxe(self, held: dict[str, int]) -> str | None:
        if held["wood_pickaxe"]:
            return None
        if not self._near("table"):
            return self._place("place_table")
        return "make_wood_pickaxe" if held["wood"] else self._collect("tree")

    def _stone_pickaxe(self, held: dict[str, int]) -> str | None:
        if held["stone_pickaxe"]:
            return None
        if held["wood"] < 2:
            return self._collect("tree")
        if held["stone"] < 1:
            return self._collect("stone")
        return "make_stone_pickaxe" if self._near("table") else self._to_table(held)

    def _iron_pickaxe(self, held: dict[str, int]) -> str | None:
        if held["iron_pickaxe"]:
            return None
        if held["wood"] < 1:
            return self._collect("tree")
        furnace = constants.place["furnace"]["uses"]["stone"]
        for item, count in (("stone", furnace), ("coal", 1), ("iron", 1)):
            placed = item == "stone" and self.interface.game.achievements["place_furnace"] > 0
            if held[item] < count and not placed:
                return self._collect(item)
        if not self._near("table"):
            return self._to_table(held)
        if not self._near("furnace"):
            return self._place("place_furnace") if held["stone"] >= furnace else self._collect("stone")
        return "make_iron_pickaxe"

    def _diamond(self, held: dict[str, int]) -> str | None:
        return None if held["diamond"] else self._collect("diamond")

    def _to_table(self, held: dict[str, int]) -> str:
        if held["wood"] >= _WOOD:
            return self._place("place_table")
        action = self._approach("table")
        return self._collect("tree") if action is None else action

    def _collect(self, material: str) -> str:
        action = self._approach(material)
        return self._wander() if action is None else action

    def _approach(self, material: str) -> str | None:
        """Go beside the nearest cell of a material and face it; there, collect it. None where none can be reached."""
        game = self.interface.game
        test = beside(game.world, material)
        if test(self._here):
            self._path = []
            return self._use_neighbour(material)
        if self._aim != material or not self._path or not test(self._path[-1]):
            found = cheapest_path(game.world, self._here, test, diggable(game.inventory))
            if found is None:
                return None
            self._aim, self._path = material, found
        return self._follow()

    def _use_neighbour(self, material: str) -> str:
        game = self.interface.game
        for name, (dx, dy) in DIRECTIONS.items():
            place = (self._here[0] + dx, self._here[1] + dy)
            if game.world[place][0] == material:
                return "do" if tuple(game.player.facing) == (dx, dy) else f"move_{name}"
        raise RuntimeError("there is no such neighbour")

    def _follow(self) -> str:
        """Take the next cell of the path: walk, or turn and clear it. A path that no longer begins here is dropped."""
        here = self._here
        if self._path[0] == here:
            self._path.pop(0)
        step = (self._path[0][0] - here[0], self._path[0][1] - here[1]) if self._path else (0, 0)
        names = [name for name, direction in DIRECTIONS.items() if direction == step]
        if not names:
            self._path = []
            return "noop"
        material, thing = self.interface.game.world[self._path[0]]
        blocked = thing is not None or material not in constants.walkable
        if blocked and tuple(self.interface.game.player.facing) == step:
            return "do"
        return f"move_{names[0]}"

    def _place(self, action: str) -> str:
        """Place where the player looks, or turn and step, staying beside a table that is there, until it can."""
        game = self.interface.game
        self._path = []
        facing = (self._here[0] + int(game.player.facing[0]), self._here[1] + int(game.player.facing[1]))
        material, thing = game.world[facing]
        if thing is None and material in constants.place[action.removeprefix("place_")]["where"]:
            return action
        if material in diggable(game.inventory) and material == "stone":
            return "do"
        return self._turn(stay_near="table" if self._near("table") else None)

    def _turn(self, stay_near: str | None) -> str:
        game = self.interface.game
        names = list(DIRECTIONS)
        self.generator.shuffle(names)
        for name in names:
            dx, dy = DIRECTIONS[name]
            place = (self._here[0] + dx, self._here[1] + dy)
            material, thing = game.world[place]
            if material == "lava" or tuple(game.player.facing) == (dx, dy):
                continue
            free = thing is None and material in constants.walkable
            if not free or stay_near is None or stay_near in game.world.nearby(np.array(place), 1)[0]:
                return f"move_{name}"
        return self._wander()

    def _wander(self) -> str:
        """Take a random direction that is not lava."""
        names = list(DIRECTIONS)
        self.generator.shuffle(names)
        self._path = []
        for name in names:
            dx, dy = DIRECTIONS[name]
            if self.interface.game.world[(self._here[0] + dx, self._here[1] + dy)][0] in constants.walkable:
                return f"move_{name}"
        return "noop"


def environment_action(pressed: list[str], camera: tuple[float, float]) -> dict[str, Any]:
    """Return the environment's action of pressed buttons and camera degrees."""
    return Action(frozenset(pressed), camera, not pressed and camera == (0.0, 0.0)).environment()
