"""Video whose frames are not the steps that a model has learned: recognised, and read at those steps where asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omnitrain.errors import DataError
from omnitrain_control.video import Frame, Order, read_frames, shown_times, steady_rate


class OtherRate(DataError):
    """A video's frames are not the steps of a model."""


SAME = 0.02
"""Relative difference up to which two rates are one: 20 and 19.98 frames a second."""


def commonest(rates: Iterable[float], default: float) -> float:
    """Return the rate that most videos have, rounded to a hundredth."""
    counted = Counter(round(rate, 2) for rate in rates)
    return counted.most_common(1)[0][0] if counted else default


def same_rate(rate: float, other: float) -> bool:
    """Tell whether two rates are one."""
    return abs(rate / other - 1) <= SAME


def other_rate(video: Path, wanted: float) -> str:
    """Say how a video's frames differ from steps of `wanted` a second; an empty text where each frame is a step.

    Raises DataError for a video that can't be opened.
    """
    rate = steady_rate(video)
    if rate is None:
        return "frames that are not equally far apart"
    return "" if same_rate(rate, wanted) else f"{rate:g} frames a second"


def step_frames(video: Path, wanted: float) -> NDArray[np.int64] | None:
    """Return the numbers of the frames that are nearest to the steps of `wanted` a second, int64[steps].

    None where the video has fewer frames than steps or does not tell their times.
    """
    times = shown_times(video)
    if times is None or len(times) < 2 or len(times) - 1 < (times[-1] - times[0]) * wanted * (1 - SAME):
        return None
    steps = times[0] + np.arange(int((times[-1] - times[0]) * wanted + 1e-6) + 1) / wanted
    behind = np.clip(np.searchsorted(times, steps), 1, len(times) - 1)
    nearer = steps - times[behind - 1] <= times[behind] - steps
    return np.asarray(np.where(nearer, behind - 1, behind), np.int64)


def frames_at(video: Path, numbers: NDArray[np.int64], order: Order = "rgb24") -> Iterator[Frame]:
    """Yield the frames of ascending numbers, one that is named twice two times; ends early where the video does."""
    if not len(numbers):
        return
    row, begin = 0, int(numbers[0])
    for number, frame in enumerate(read_frames(video, order, begin), begin):
        while number == numbers[row]:
            yield frame
            row += 1
            if row == len(numbers):
                return
