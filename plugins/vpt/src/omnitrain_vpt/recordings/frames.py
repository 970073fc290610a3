"""Frames as the networks see them: pointer painted, then resized without anti-aliasing, RGB."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from omnitrain_control.video import Frame
from omnitrain_vpt.recordings.cursor import arrow, paint_cursor, read_cursor
from omnitrain_vpt.recordings.format import Track
from omnitrain_vpt.recordings.rates import frames_at

WINDOW_HEIGHT = 720
Pointer = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def pointer(path: str | None) -> Pointer:
    """Return the pointer's picture and alpha: of a file, or ours.

    Raises DataError for a file that is no picture with transparency.
    """
    return arrow() if path is None else read_cursor(Path(path))


def resize(image: Frame, size: int) -> Frame:
    """Return a picture as uint8[size, size, 3], bilinear without anti-aliasing; other resamplers hurt released models."""
    if image.shape[:2] == (size, size):
        return image
    out: Frame = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)
    return out


def prepare(image: Frame, cursor: NDArray[np.float32], size: int, picture: Pointer) -> Frame:
    """Return a BGR frame as RGB uint8[size, size, 3]. cursor: (x, y) in a window of 720 pixels, negative for none."""
    if cursor[0] >= 0 and cursor[1] >= 0:
        scale = image.shape[0] / WINDOW_HEIGHT
        image = paint_cursor(image, *picture, int(cursor[0] * scale), int(cursor[1] * scale))
    return np.ascontiguousarray(resize(image, size)[..., ::-1])


def track_frames(path: Path, track: Track, size: int, picture: Pointer, start: int = 0) -> Iterator[Frame]:
    """Yield the prepared frames of a track from its row `start`; ends early where the video does.

    A track may hold a frame several times, one behind the other.
    """
    images = frames_at(path, track.frames[start:], "bgr24")
    for row, image in enumerate(images, start):
        yield prepare(image, track.cursor[row], size, picture)
