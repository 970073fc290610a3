"""The human interface of Minecraft in front of crafter: buttons and camera in, frames and item counts out.

forward/back/left/right move, attack does (collects, fights), use places or makes what the hotbar slot holds, sneak sleeps.
The camera shifts the view. The frame shows the slot and, as in the game, the hand with what it holds: it swings while attack or
use is pressed and sways with the steps. An action is seen in the frame after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from omnitrain_vpt.paper.minecraft import ENVIRONMENT_BUTTONS
from omnitrain_vpt.world.drawing import ITEM_ROWS, VIEW
from omnitrain_vpt.world.game import Game

SLOTS: tuple[str, ...] = (
    "place_stone", "place_table", "place_furnace", "place_plant", "make_wood_pickaxe", "make_stone_pickaxe",
    "make_iron_pickaxe", "make_sword", "noop",
)  # fmt: skip
"""What `use` does with each hotbar slot."""
_SWORDS = ("make_iron_sword", "make_stone_sword", "make_wood_sword")
_MOVES = {"forward": "move_up", "back": "move_down", "left": "move_left", "right": "move_right"}
MOST_DEGREES = 10.0
_PIXELS_PER_DEGREE = 1.2 / 8  # of a cell's side
_HAND = (90, 40, 20)
_SWUNG = {"attack": (255, 200, 150), "use": (120, 220, 255)}
_HELD = (
    (128, 128, 128), (160, 110, 40), (70, 70, 90), (40, 200, 40), (230, 180, 90), (180, 190, 220), (250, 250, 120),
    (200, 60, 200), (0, 0, 0),
)  # fmt: skip
"""The colour of what each hotbar slot puts into the hand."""
_SWAY = {"forward": (-1, 0), "back": (1, 0), "left": (0, -1), "right": (0, 1)}

# Our items (crafter's inventory and achievements) under the names of the reward table.
ITEMS: Mapping[str, str] = {
    "log": "wood", "cobblestone": "stone", "coal": "coal", "iron_ore": "iron", "diamond": "diamond",
    "wooden_pickaxe": "wood_pickaxe", "stone_pickaxe": "stone_pickaxe", "iron_pickaxe": "iron_pickaxe",
}  # fmt: skip
PLACED: Mapping[str, str] = {"crafting_table": "place_table", "furnace": "place_furnace"}


def action_space() -> gymnasium.spaces.Dict:
    """Return MineRL's action space: 23 buttons of 0 and 1, and the camera in degrees [pitch, yaw]."""
    buttons = {name: gymnasium.spaces.Discrete(2) for name in ENVIRONMENT_BUTTONS}
    return gymnasium.spaces.Dict({**buttons, "camera": gymnasium.spaces.Box(-180.0, 180.0, (2,), np.float64)})


def is_minecraft(space: gymnasium.Space[Any]) -> bool:
    """Whether an action space is that of a MineRL environment: the buttons and a camera of two angles."""
    if not isinstance(space, gymnasium.spaces.Dict):
        return False
    needed = {name for name in ENVIRONMENT_BUTTONS if name not in ("ESC", "pickItem", "swapHands")}
    camera = space.spaces.get("camera")
    return needed <= set(space.spaces) and camera is not None and camera.shape == (2,)


class HumanInterface(gymnasium.Env[NDArray[np.uint8], dict[str, Any]]):
    """Crafter as a MineRL environment would be seen: frames only; items and achievements are for rewards and metrics.

    steps: length of an episode. The other arguments are those of `Game`.
    """

    def __init__(
        self,
        folder: Path,
        area: int = 64,
        worlds: int = 16,
        first: int = 0,
        calm: bool = True,
        unit: int = 8,
        steps: int = 1000,
    ) -> None:
        self.metadata = {"render_modes": ["rgb_array"]}
        self.game = Game(folder, area, worlds, first, calm, unit)
        self.length = steps
        size = VIEW * unit
        self.action_space = action_space()
        self.observation_space = gymnasium.spaces.Box(0, 255, (size, size, 3), np.uint8)
        self.slot = 0
        self.view = np.zeros(2)
        self._hand, self._sway = _HAND, (0, 0)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        """Begin an episode. seed: decides the world and everything in it."""
        super().reset(seed=seed)
        self.game.reset(int(self.np_random.integers(2**31 - 1)) if seed is None else seed)
        self.slot, self.view = 0, np.zeros(2)
        self._hand, self._sway = _HAND, (0, 0)
        return self.frame(), {}

    def step(self, action: Mapping[str, Any]) -> tuple[NDArray[np.uint8], float, bool, bool, dict[str, Any]]:
        """Do an action; the reward is always 0, see `omnitrain_vpt.paper.rewards`."""
        for number in range(1, len(SLOTS) + 1):
            if action.get(f"hotbar.{number}"):
                self.slot = number - 1
        camera = np.asarray(action["camera"], np.float64)
        self.view = np.clip(self.view + np.clip(camera, -MOST_DEGREES, MOST_DEGREES), -MOST_DEGREES, MOST_DEGREES)
        alive = self.game.step(self.crafter_action(action))
        self._move_hand(action)
        over = self.game.steps >= self.length
        info = {"items": self.items(), "achievements": self.game.achievements} if over or not alive else {}
        return self.frame(), 0.0, not alive, over and alive, info

    def _move_hand(self, action: Mapping[str, Any]) -> None:
        """Swing with the first of attack and use, sway with the walking keys."""
        self._hand = next((colour for name, colour in _SWUNG.items() if action.get(name)), _HAND)
        steps = [step for name, step in _SWAY.items() if action.get(name)]
        self._sway = (sum(down for down, _ in steps), sum(right for _, right in steps))

    def crafter_action(self, action: Mapping[str, Any]) -> str:
        """Return what crafter is told: it knows one action a step; attack before use, use before moving."""
        if action.get("attack"):
            return "do"
        if action.get("use"):
            return self._use()
        if action.get("sneak"):
            return "sleep"
        for one, other in (("forward", "back"), ("left", "right")):
            if bool(action.get(one)) != bool(action.get(other)):
                return _MOVES[one if action.get(one) else other]
        return "noop"

    def _use(self) -> str:
        chosen = SLOTS[self.slot]
        if chosen != "make_sword":
            return chosen
        held = self.game.inventory
        if held["coal"] and held["iron"] and held["wood"]:
            return _SWORDS[0]
        return _SWORDS[1] if held["stone"] and held["wood"] else _SWORDS[2]

    def items(self) -> dict[str, int]:
        """Return counts under the names of the reward table: what is carried, and tables and furnaces ever placed."""
        held, done = self.game.inventory, self.game.achievements
        return {**{name: held[ours] for name, ours in ITEMS.items()}, **{name: done[ours] for name, ours in PLACED.items()}}

    def frame(self) -> NDArray[np.uint8]:
        """Return what a player sees: the shifted view, the slot, the hand."""
        image = self.game.frame()
        unit = self.game.painter.unit
        dy, dx = np.rint(self.view * _PIXELS_PER_DEGREE * unit).astype(int)
        if dy or dx:
            image = _shifted(image, -int(dy), -int(dx))
        image[: max(1, unit // 2), self.slot * unit : (self.slot + 1) * unit] = 255
        side = unit * 3 // 2
        top = (VIEW - ITEM_ROWS) * unit - side + (self._sway[0] - 1) * unit
        left = image.shape[1] - side + (self._sway[1] - 1) * unit
        image[top : top + side // 2, left : left + side] = _HELD[self.slot]
        image[top + side // 2 : top + side, left : left + side] = self._hand
        return image

    def render(self) -> NDArray[np.uint8]:
        """Return the frame."""
        return self.frame()


def _shifted(image: NDArray[np.uint8], down: int, right: int) -> NDArray[np.uint8]:
    """Move a picture; what comes in at the edges is black."""
    out = np.zeros_like(image)
    height, width = image.shape[:2]
    rows, columns = slice(max(down, 0), height + min(down, 0)), slice(max(right, 0), width + min(right, 0))
    source_rows, source_columns = slice(max(-down, 0), height + min(-down, 0)), slice(max(-right, 0), width + min(-right, 0))
    out[rows, columns] = image[source_rows, source_columns]
    return out
