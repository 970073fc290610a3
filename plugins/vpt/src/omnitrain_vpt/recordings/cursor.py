"""The mouse pointer, which recordings of Minecraft lack and which is painted while a GUI is open."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnitrain.errors import DataError

SIDE = 16
# An arrow of our own: X is black, o white, a dot is transparent. Rows that are missing are transparent.
_ARROW = (
    "X", "XX", "XoX", "XooX", "XoooX", "XooooX", "XoooooX", "XooooooX", "XoooooooX", "XooooooooX", "XoooooXXXX", "XooXooX",
    "XoX.XooX", "XX..XooX", "X....XooX", ".....XXX",
)  # fmt: skip


@cache
def arrow() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return our pointer: (picture uint8[16, 16, 3], alpha uint8[16, 16, 1])."""
    picture, alpha = np.zeros((SIDE, SIDE, 3), np.uint8), np.zeros((SIDE, SIDE, 1), np.uint8)
    for y, row in enumerate(_ARROW):
        for x, mark in enumerate(row):
            picture[y, x] = 255 if mark == "o" else 0
            alpha[y, x] = 0 if mark == "." else 255
    return picture, alpha


def read_cursor(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return (BGR picture, alpha) of the first 16x16 pixels of a PNG with transparency, such as the official one.

    Raises DataError for another file.
    """
    import cv2

    image: Any = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim != 3 or image.shape[2] != 4:
        raise DataError(f"{path} is no picture with an alpha channel; expected a PNG of a mouse pointer.")
    return image[:SIDE, :SIDE, :3], image[:SIDE, :SIDE, 3:]


def paint_cursor(
    image: NDArray[np.uint8], picture: NDArray[np.uint8], alpha: NDArray[np.uint8], x: int, y: int
) -> NDArray[np.uint8]:
    """Return the image with the pointer at column x, row y: image (1 - alpha/255) + picture alpha/255, cut to uint8.

    image: uint8[height, width, 3]. Parts beyond an edge are left out, on every side.
    """
    top, left = max(y, 0), max(x, 0)
    bottom, right = min(y + len(picture), image.shape[0]), min(x + picture.shape[1], image.shape[1])
    out = image.copy()
    if top >= bottom or left >= right:
        return out
    part = (slice(top - y, bottom - y), slice(left - x, right - x))
    share = alpha[part] / 255.0
    below = image[top:bottom, left:right]
    out[top:bottom, left:right] = (below * (1 - share) + picture[part] * share).astype(np.uint8)
    return out
