"""The two transforms of image classification on Pillow images: random resized crops for training, centre crops for tests."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]
Box = tuple[float, float, float, float]


def random_crop_box(
    width: int,
    height: int,
    generator: np.random.Generator,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Box:
    """Draw a box (left, upper, right, lower) of a share of the area and an aspect ratio, log-uniform in `ratio`.

    After ten boxes that do not fit, the largest centred box with a ratio in the range is taken.
    """
    for _ in range(10):
        area = width * height * generator.uniform(*scale)
        aspect = math.exp(generator.uniform(math.log(ratio[0]), math.log(ratio[1])))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            left, upper = int(generator.integers(0, width - w + 1)), int(generator.integers(0, height - h + 1))
            return left, upper, left + w, upper + h
    w, h = width, height
    if width / height < ratio[0]:
        h = min(height, round(width / ratio[0]))
    elif width / height > ratio[1]:
        w = min(width, round(height * ratio[1]))
    left, upper = (width - w) // 2, (height - h) // 2
    return left, upper, left + w, upper + h


def train_crop(image: Image.Image, size: int, generator: np.random.Generator, flip: bool = True) -> Image.Image:
    """Return a random resized crop of size x size, bilinear, mirrored with probability one half."""
    box = random_crop_box(image.width, image.height, generator)
    # Cut out first: resizing with a box would read pixels beside it.
    cut = image.crop(box).resize((size, size), Image.Resampling.BILINEAR)
    return cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip and generator.random() < 0.5 else cut


def centre_crop(image: Image.Image, size: int, resize: int) -> Image.Image:
    """Return the shorter side resized to `resize`, bilinear, and the central size x size of it."""
    shorter = min(image.width, image.height)
    width, height = (int(resize * side / shorter) for side in (image.width, image.height))
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    left, upper = round((width - size) / 2), round((height - size) / 2)
    return resized.crop((left, upper, left + size, upper + size))


def shifted(pixels: NDArray[np.uint8], most: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Return uint8[height, width(, channels)] moved by up to `most` pixels in each direction, with black coming in."""
    down, right = (int(i) for i in generator.integers(0, 2 * most + 1, 2))
    padded = np.pad(pixels, [(most, most), (most, most), *[(0, 0)] * (pixels.ndim - 2)])
    return padded[down : down + pixels.shape[0], right : right + pixels.shape[1]]


def to_unit(pixels: NDArray[np.uint8]) -> Floats:
    """Return float32[..., channels, height, width] in [0, 1] from uint8[..., height, width(, channels)]."""
    return np.ascontiguousarray(np.moveaxis(pixels, -1, -3), np.float32) / np.float32(255)


def normalised(images: Floats, mean: tuple[float, ...], std: tuple[float, ...]) -> Floats:
    """Return (images - mean) / std per channel; images: float32[..., channels, height, width]."""
    shape = (-1, 1, 1)
    return (images - np.asarray(mean, np.float32).reshape(shape)) / np.asarray(std, np.float32).reshape(shape)
