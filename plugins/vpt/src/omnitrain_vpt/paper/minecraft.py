"""Minecraft's human interface: buttons, keys, and lines of the contractor format as actions and back (paper, app. B)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

BUTTONS: tuple[str, ...] = (
    "attack", "back", "forward", "jump", "left", "right", "sneak", "sprint", "use", "drop", "inventory",
    *(f"hotbar.{slot}" for slot in range(1, 10)),
)  # fmt: skip
"""The 20 buttons of the factored action, in the order of the official vectors."""
BUTTON_INDEX = {name: number for number, name in enumerate(BUTTONS)}
ENVIRONMENT_BUTTONS: tuple[str, ...] = (
    "ESC", "back", "drop", "forward", *(f"hotbar.{slot}" for slot in range(1, 10)), "inventory", "jump", "left", "right",
    "sneak", "sprint", "swapHands", "attack", "use", "pickItem",
)  # fmt: skip
"""The keys of an environment's action besides "camera"."""

_PREFIX = "key.keyboard."
KEYS: Mapping[str, str] = {
    "escape": "ESC", "s": "back", "q": "drop", "w": "forward", **{str(n): f"hotbar.{n}" for n in range(1, 10)},
    "e": "inventory", "space": "jump", "a": "left", "d": "right", "left.shift": "sneak", "left.control": "sprint",
    "f": "swapHands",
}  # fmt: skip
"""Key (without "key.keyboard.") to button; other keys are ignored and are no activity."""
MOUSE_BUTTONS: Mapping[int, str] = {0: "attack", 1: "use", 2: "pickItem"}
DEGREES_PER_PIXEL = 360.0 / 2400.0
LARGEST_PLACE = 1e6
"""Pixels; a mouse beyond them, or at infinity, is a fault of the recorder."""
# Recorder version to the factor of mouse movements while a GUI is open; 1 for all others.
GUI_FACTORS: Mapping[str, float] = {"5.7": 0.5, "5.8": 0.5, "6.7": 2.0, "6.8": 2.0, "6.9": 2.0}


@dataclass(frozen=True)
class Action:
    """What was done in one frame. pressed: buttons by environment name. camera: (pitch, yaw) in degrees. null: no activity."""

    pressed: frozenset[str]
    camera: tuple[float, float]
    null: bool

    def environment(self) -> dict[str, Any]:
        """Return the environment's action: every button 0 or 1, and "camera" float64[2]."""
        buttons: dict[str, Any] = {name: int(name in self.pressed) for name in ENVIRONMENT_BUTTONS}
        return {**buttons, "camera": np.array(self.camera)}

    def buttons(self) -> NDArray[np.uint8]:
        """Return the 20 buttons uint8[20]; ESC, pickItem and swapHands have no place among them."""
        return np.array([name in self.pressed for name in BUTTONS], np.uint8)


def action_of_line(line: Mapping[str, Any], gui_factor: float = 1.0, legacy_int_camera: bool = False) -> Action:
    """Return the action of one parsed line.

    gui_factor: multiplies the movement while a GUI is open. legacy_int_camera: cut degrees towards zero as the official
    code does by writing them into an integer array (its issue 54), which loses everything below 1 degree.
    Raises KeyError, TypeError or ValueError for a line without mouse and keyboard or with other types in them.
    """
    mouse, keyboard = line["mouse"], line["keyboard"]
    pressed = {KEYS[key.removeprefix(_PREFIX)] for key in keyboard["keys"] if key.removeprefix(_PREFIX) in KEYS}
    pressed |= {MOUSE_BUTTONS[button] for button in mouse["buttons"] if button in MOUSE_BUTTONS}
    dx, dy = float(mouse["dx"]), float(mouse["dy"])
    if not (abs(dx) <= LARGEST_PLACE and abs(dy) <= LARGEST_PLACE):
        raise ValueError("mouse.dx and mouse.dy must be finite movements of a mouse")
    null = not pressed and dx == 0 and dy == 0
    scale = DEGREES_PER_PIXEL * (gui_factor if line.get("isGuiOpen", False) else 1.0)
    pitch, yaw = dy * scale, dx * scale
    if legacy_int_camera:
        pitch, yaw = float(int(pitch)), float(int(yaw))
    return Action(frozenset(pressed), (pitch, yaw), null)


def unknown_keys(line: Mapping[str, Any]) -> set[str]:
    """Return the keys and mouse buttons of a well-formed line that have no place in an action."""
    keys = {str(key) for key in line["keyboard"]["keys"] if key.removeprefix(_PREFIX) not in KEYS}
    return keys | {f"mouse button {button}" for button in line["mouse"]["buttons"] if button not in MOUSE_BUTTONS}


def gui_factor(version: str) -> float:
    """Return the mouse factor of a recorder version ("6.8"), 1 where none is known."""
    return GUI_FACTORS.get(version, 1.0)


@dataclass
class SequenceRules:
    """Line by line, what only the lines before it can tell: stuck attack, hotbar, ESC, version factor.

    escape_closes_inventory: ESC with an open GUI becomes "inventory", as in the paper; the official code keeps ESC, which
    the policy then drops. legacy_int_camera: see `action_of_line`. factor: of mouse movements while a GUI is open.
    """

    escape_closes_inventory: bool = True
    legacy_int_camera: bool = False
    factor: float = 1.0
    _line: int = field(default=0, init=False)
    _stuck: bool = field(default=False, init=False)
    _slot: int = field(default=0, init=False)

    def __call__(self, line: Mapping[str, Any]) -> Action:
        """Return the action of the next line. `null` is judged before the hotbar is looked at, as in the official loader.

        Raises KeyError, TypeError or ValueError for a malformed line, which then leaves the memory as it was.
        """
        mouse = line["mouse"]
        new_buttons = list(mouse.get("newButtons", ()))
        stuck = self._stuck
        if self._line == 0:
            # The recorder misses a release before the start: an attack that begins with the recording is none.
            stuck = new_buttons == [0]
        elif stuck and 0 in new_buttons:
            stuck = False
        if stuck:
            line = {**line, "mouse": {**mouse, "buttons": [b for b in mouse["buttons"] if b != 0]}}
        action = action_of_line(line, self.factor, self.legacy_int_camera)
        slot = int(line.get("hotbar", self._slot))
        pressed = set(action.pressed)
        if slot != self._slot:
            pressed.add(f"hotbar.{slot + 1}")  # the scroll wheel is not recorded
        if self.escape_closes_inventory and line.get("isGuiOpen", False) and "ESC" in pressed:
            pressed = (pressed - {"ESC"}) | {"inventory"}
        self._line, self._stuck, self._slot = self._line + 1, stuck, slot
        return Action(frozenset(pressed), action.camera, action.null)


def _is_record(value: Any) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)


def checked_line(value: Any) -> Mapping[str, Any]:
    """Return a parsed line as a mapping with mouse and keyboard.

    Raises ValueError that says what is missing.
    """
    if not _is_record(value):
        raise ValueError(f"a line is {type(value).__name__}, expected an object")
    for name, part in (("mouse", "buttons"), ("keyboard", "keys")):
        if not _is_record(value.get(name)) or not isinstance(value[name].get(part), list):
            raise ValueError(f"{name}.{part} is missing")
    for name in ("x", "y"):
        place = value["mouse"].get(name)
        if isinstance(place, (int, float)) and not abs(place) <= LARGEST_PLACE:
            raise ValueError(f"mouse.{name} is no place in a window")
    return value


_NAMED_KEYS = {button: _PREFIX + key for key, button in KEYS.items()}
_NAMED_MOUSE = {button: number for number, button in MOUSE_BUTTONS.items()}


class LineWriter:
    """Writes actions as lines, so that the reader gives the same actions back.

    Newly pressed keys and buttons are told apart from held ones, the hotbar slot follows its keys, and an attack in the
    first line is written as held, since the reader takes one that begins there for stuck.
    """

    def __init__(self) -> None:
        self._held_keys: set[str] = set()
        self._held_buttons: set[int] = set()
        self._slot, self._tick = 0, 0

    def __call__(self, pressed: Sequence[str], camera: tuple[float, float], **others: Any) -> dict[str, Any]:
        """Return the next line. camera: (pitch, yaw) in degrees. others: further fields (isGuiOpen, inventory)."""
        keys = sorted(_NAMED_KEYS[name] for name in pressed if name in _NAMED_KEYS)
        buttons = sorted(_NAMED_MOUSE[name] for name in pressed if name in _NAMED_MOUSE)
        new_buttons = [b for b in buttons if b not in self._held_buttons] if self._tick else []
        slots = [int(name.removeprefix("hotbar.")) - 1 for name in pressed if name.startswith("hotbar.")]
        self._slot = max(slots, default=self._slot)
        pitch, yaw = (degrees / DEGREES_PER_PIXEL for degrees in camera)
        line = {
            "mouse": {"x": 640.0, "y": 360.0, "dx": yaw, "dy": pitch, "buttons": buttons, "newButtons": new_buttons},
            "keyboard": {"keys": keys, "newKeys": [k for k in keys if k not in self._held_keys], "chars": ""},
            "isGuiOpen": False,
            "hotbar": self._slot,
            "tick": self._tick,
            "milli": self._tick * 50,
            **others,
        }
        self._held_keys, self._held_buttons, self._tick = set(keys), set(buttons), self._tick + 1
        return line
