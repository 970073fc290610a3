"""Changes of a whole data set, for a shift between what a backbone was trained on and the tasks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Bytes = NDArray[np.uint8]
COARSE = 4


def changed(pixels: Bytes, invert: bool, quarter_turns: int, background: float, noise: float, seed: int) -> Bytes:
    """Return uint8[images, height, width(, channels)] in another domain.

    background: amplitude in [0, 1] of a smooth random pattern that is put behind the bright parts. noise: standard deviation
    in [0, 1] of independent pixels. Both are drawn once an image from `seed`. Then images are turned and inverted.
    """
    generator = np.random.default_rng(seed)
    out = pixels
    if background:
        behind = _patterns(pixels.shape, background, generator)
        out = np.maximum(out, behind)
    if noise:
        drawn = generator.normal(0.0, 255 * noise, pixels.shape)
        out = np.clip(out + drawn, 0, 255).astype(np.uint8)
    if quarter_turns:
        out = np.rot90(out, quarter_turns, axes=(1, 2))
    if invert:
        out = 255 - out
    return np.ascontiguousarray(out)


def _patterns(shape: tuple[int, ...], amplitude: float, generator: np.random.Generator) -> Bytes:
    """Return smooth patterns uint8 of the shape: COARSE x COARSE random values, enlarged bilinearly."""
    coarse = (generator.random((shape[0], COARSE, COARSE)) * 255 * amplitude).astype(np.uint8)
    size = (shape[2], shape[1])
    fine = np.stack([np.asarray(Image.fromarray(c).resize(size, Image.Resampling.BILINEAR)) for c in coarse])
    return np.broadcast_to(fine[..., None], shape) if len(shape) == 4 else fine
