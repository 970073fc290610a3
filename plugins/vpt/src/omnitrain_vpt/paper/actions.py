"""Factored actions (20 buttons, 2 camera bins) and the joint hierarchical ones of the policy, both ways (app. D)."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from omnitrain_control.bins import Bins
from omnitrain_vpt.paper.minecraft import BUTTON_INDEX, BUTTONS

Ints = NDArray[np.int64]

CAMERA = Bins(largest=10.0, size=2.0, scheme="mu_law", mu=10.0)
CAMERA_BINS = CAMERA.count
CAMERA_ZERO = 5
GROUPS: dict[str, tuple[str, ...]] = {
    "hotbar": ("none", *(f"hotbar.{slot}" for slot in range(1, 10))),
    "fore_back": ("none", "forward", "back"),
    "left_right": ("none", "left", "right"),
    "sprint_sneak": ("none", "sprint", "sneak"),
    "use": ("none", "use"),
    "drop": ("none", "drop"),
    "attack": ("none", "attack"),
    "jump": ("none", "jump"),
    "camera": ("none", "camera"),
}
_SIZES = [len(members) for members in GROUPS.values()]
INVENTORY = int(np.prod(_SIZES))
"""The joint index of "inventory", which excludes all else: 8640."""
JOINT_BUTTONS = INVENTORY + 1
JOINT_CAMERAS = CAMERA_BINS**2
NULL_BUTTONS = 0
NULL_CAMERA = CAMERA_ZERO * CAMERA_BINS + CAMERA_ZERO
_OPPOSITES = ("fore_back", "left_right")


def to_joint(buttons: NDArray[np.integer], camera: NDArray[np.integer]) -> tuple[Ints, Ints]:
    """Return (buttons index, camera index), both int64[...], of factored actions.

    buttons: [..., 20] of 0 and 1. camera: bins [..., 2], pitch and yaw. Opposite directions cancel; in the other groups
    the later member wins; "inventory" excludes everything, the camera too.
    """
    buttons, camera = np.asarray(buttons), np.asarray(camera, np.int64)
    index = np.zeros(buttons.shape[:-1], np.int64)
    for name, members in GROUPS.items():
        if name == "camera":
            choice = (camera != CAMERA_ZERO).any(-1).astype(np.int64)
        else:
            choice = np.zeros(index.shape, np.int64)
            pressed = [buttons[..., BUTTON_INDEX[member]] != 0 for member in members[1:]]
            for number, held in enumerate(pressed, 1):
                choice = np.where(held, number, choice)
            if name in _OPPOSITES:
                choice = np.where(pressed[0] & pressed[1], 0, choice)
        index = index * len(members) + choice
    inventory = buttons[..., BUTTON_INDEX["inventory"]] != 0
    joint_camera = camera[..., 0] * CAMERA_BINS + camera[..., 1]
    return np.where(inventory, INVENTORY, index), np.where(inventory, NULL_CAMERA, joint_camera)


@cache
def button_table() -> NDArray[np.uint8]:
    """The 20 buttons of every joint index, uint8[8641, 20]."""
    table = np.zeros((JOINT_BUTTONS, len(BUTTONS)), np.uint8)
    choices = np.stack(np.unravel_index(np.arange(INVENTORY), _SIZES), -1)
    for column, (name, members) in enumerate(GROUPS.items()):
        for number, member in enumerate(members):
            if number and name != "camera":
                table[:INVENTORY, BUTTON_INDEX[member]] = choices[:, column] == number
    table[INVENTORY, BUTTON_INDEX["inventory"]] = 1
    return table


@cache
def camera_off() -> NDArray[np.bool_]:
    """Whether a joint index says that the camera rests, bool[8641]; "inventory" does not, as in the official code."""
    off = np.zeros(JOINT_BUTTONS, bool)
    off[:INVENTORY] = np.arange(INVENTORY) % 2 == 0
    return off


def to_factored(buttons: NDArray[np.integer], camera: NDArray[np.integer]) -> tuple[NDArray[np.uint8], Ints]:
    """Return (buttons uint8[..., 20], camera bins int64[..., 2]) of joint indices [...]."""
    buttons, camera = np.asarray(buttons, np.int64), np.asarray(camera, np.int64)
    bins = np.stack([camera // CAMERA_BINS, camera % CAMERA_BINS], -1)
    bins = np.where(camera_off()[buttons][..., None], CAMERA_ZERO, bins)
    return button_table()[buttons], bins


def is_null(buttons: NDArray[np.integer], camera: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Whether factored actions are null after quantisation: no button, both bins at rest; bool[...]."""
    resting: NDArray[np.bool_] = ~(np.asarray(buttons) != 0).any(-1) & (np.asarray(camera) == CAMERA_ZERO).all(-1)
    return resting
