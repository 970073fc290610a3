"""Which window labels which frame (app. D.2): each exactly once, with context on both sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class WindowPlan:
    """starts: first frame of each window. owner: window that labels each frame, int64[frames]. length: of a window."""

    starts: NDArray[np.int64]
    owner: NDArray[np.int64]
    length: int


def plan_windows(frames: int, length: int = 128, stride: int = 64) -> WindowPlan:
    """Plan windows over a clip.

    Windows begin every `stride` frames; the last is shifted back to end with the clip. A frame is labelled by the window in
    whose middle it lies most, the earlier one at ties: with 128 and 64 the middle 64 of each window, and the ends of the first
    and the last. A clip shorter than a window has one, which is padded behind. Raises ValueError for no frames or gaps.
    """
    if frames < 1 or not 1 <= stride <= length:
        raise ValueError(f"{frames} frames, windows of {length} every {stride}")
    last = max(0, frames - length)
    starts = np.array([*range(0, last, stride), last], np.int64)
    places = np.arange(frames)
    # Twice the distance from the window's middle, in whole numbers, so that ties are ties.
    distance = np.abs(2 * (places[None] - starts[:, None]) - (length - 1))
    inside = (places[None] >= starts[:, None]) & (places[None] < starts[:, None] + length)
    distance = np.where(inside, distance, np.iinfo(np.int64).max)
    return WindowPlan(starts, distance.argmin(0).astype(np.int64), length)
