"""Images that are on every machine: handwritten digits of scikit-learn, and letters drawn with Pillow's own font."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from omnitrain.errors import EnvironmentFault
from omnitrain_lae.data.pictures.sources import ArrayPictures, Source, by_position

# Letters and signs that do not look like a digit.
GLYPHS = "ABCDEFGHJKLMNPQRTUVWXYZabcdefhijkmnprtuvwxy&@#%?+=*<>~^"


def digits(test_fraction: float) -> Source:
    """Return the 1797 digits of 8x8 pixels, 10 classes, ink bright; of each class the last ones are the test."""
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]

    found = load_digits()
    pixels = np.rint(found.images * (255 / 16)).astype(np.uint8)
    labels = found.target.astype(np.int64)
    train, test = by_position(labels, test_fraction)
    splits = {"train": ArrayPictures(pixels[train], labels[train]), "test": ArrayPictures(pixels[test], labels[test])}
    return Source(dict(splits), [str(i) for i in range(10)])


def glyphs(size: int, per_class: int, test_fraction: float, seed: int) -> Source:
    """Return drawn letters and signs, ink bright, each turned, stretched, moved and thickened at random.

    size: height and width in pixels. seed: of the random changes.
    Raises EnvironmentFault where Pillow was built without FreeType.
    """
    generator = np.random.default_rng(seed)
    pixels, labels = [], []
    for label, letter in enumerate(GLYPHS):
        for _ in range(per_class):
            pixels.append(_drawn(letter, size, generator))
            labels.append(label)
    stacked, targets = np.stack(pixels), np.array(labels, np.int64)
    train, test = by_position(targets, test_fraction)
    splits = {"train": ArrayPictures(stacked[train], targets[train]), "test": ArrayPictures(stacked[test], targets[test])}
    return Source(dict(splits), list(GLYPHS))


def _drawn(letter: str, size: int, generator: np.random.Generator) -> np.ndarray:
    """Draw one letter on 64x64 pixels, change it by an affine map, and shrink it to size x size."""
    try:
        font = ImageFont.load_default(size=float(generator.uniform(38, 54)))
    except ImportError as error:
        raise EnvironmentFault(
            "The built-in glyphs need a Pillow with FreeType: pip install --force-reinstall pillow."
        ) from error
    image = Image.new("L", (64, 64))
    ImageDraw.Draw(image).text((32, 32), letter, fill=255, font=font, anchor="mm", stroke_width=int(generator.integers(0, 3)))
    turn, shear = np.deg2rad(generator.uniform(-12, 12)), generator.uniform(-0.25, 0.25)
    stretch = generator.uniform(0.8, 1.2, 2)
    matrix = np.array([[np.cos(turn), -np.sin(turn) + shear], [np.sin(turn), np.cos(turn)]]) / stretch
    shift = 32 - matrix @ (32 + generator.uniform(-4, 4, 2))
    changed = image.transform(
        (64, 64), Image.Transform.AFFINE, (*matrix[0], shift[0], *matrix[1], shift[1]), Image.Resampling.BILINEAR
    )
    return np.asarray(changed.resize((size, size), Image.Resampling.BOX))
