"""What a source of labelled images is: pictures in memory, or files that are decoded when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from omnitrain.api import reading
from omnitrain.errors import DataError
from omnitrain_lae.data.pictures.decoding import Decoding

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]


class Pictures(Protocol):
    """The labelled images of one split. labels: int64[images], from 0."""

    labels: Ints

    def image(self, row: int) -> Image.Image:
        """Return one image."""

    def digest(self) -> bytes:
        """Return bytes that change when the content does."""


@dataclass
class ArrayPictures:
    """Images in memory. pixels: uint8[images, height, width] or [images, height, width, 3]."""

    pixels: Bytes
    labels: Ints

    def __post_init__(self) -> None:
        if len(self.pixels) != len(self.labels):
            raise DataError(f"There are {len(self.pixels)} images but {len(self.labels)} labels.")
        if self.pixels.dtype != np.uint8 or self.pixels.ndim not in (3, 4):
            raise DataError(
                f"The images are {self.pixels.dtype}{list(self.pixels.shape)}; expected uint8[images, height, width] or "
                "uint8[images, height, width, 3]."
            )

    def image(self, row: int) -> Image.Image:
        """Return one image."""
        return Image.fromarray(self.pixels[row])

    def digest(self) -> bytes:
        """Return pixels and labels."""
        return self.pixels.tobytes() + self.labels.tobytes()


@dataclass
class FilePictures:
    """Images as files. decoding: what they leave open. skipped: what was left out, and why it can't be read."""

    files: list[Path]
    labels: Ints
    decoding: Decoding = field(default_factory=Decoding)
    skipped: list[str] = field(default_factory=list)

    def image(self, row: int) -> Image.Image:
        """Decode one file. Raises DataError that names a file which is missing, broken, or open to more than one reading."""
        return self._decoded(row, "Replace it, take it off the list, or set malformed: skip.")

    def _decoded(self, row: int, advice: str) -> Image.Image:
        path = self.files[row]
        with reading(f"{path}: the image", "an image", advice), Image.open(path) as opened:
            try:
                return self.decoding.image(opened)
            except DataError as error:
                raise DataError(f"{path}: {error}.") from error

    def of(self, rows: Ints) -> FilePictures:
        """Return some of the images."""
        return FilePictures([self.files[i] for i in rows], self.labels[rows], self.decoding, self.skipped)

    def digest(self) -> bytes:
        """Return names, sizes and labels; reading all files would take as long as an epoch."""
        lines = [f"{path.name}:{path.stat().st_size if path.exists() else -1}" for path in self.files]
        return "\n".join(lines).encode(errors="surrogateescape") + self.labels.tobytes()

    def readable(self) -> FilePictures:
        """Return the pictures without those that can't be decoded; `skipped` says why."""
        kept, lost = [], []
        for row in range(len(self.files)):
            try:
                self._decoded(row, "")
                kept.append(row)
            except DataError as error:
                lost.append(str(error))
        found = self.of(np.array(kept, np.int64))
        found.skipped = lost
        return found


@dataclass
class Source:
    """A data set of labelled images. splits: pictures by split, "train" first. class_names: by label."""

    splits: dict[str, Pictures]
    class_names: Sequence[str]

    def __post_init__(self) -> None:
        for name, pictures in self.splits.items():
            if not len(pictures.labels):
                raise DataError(f"Split {name!r} has no images.")
            lowest, highest = int(pictures.labels.min()), int(pictures.labels.max())
            if highest >= len(self.class_names) or lowest < 0:
                label = lowest if lowest < 0 else highest
                raise DataError(f"Split {name!r} has label {label}, but there are {len(self.class_names)} classes, from 0.")


def by_position(labels: Ints, test_fraction: float) -> tuple[Ints, Ints]:
    """Return (train rows, test rows): of each class the last images, by their position, are for the test.

    At least one is, and at least one is left to learn from; a class's only image is learned from.
    """
    train, test = [], []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        cut = max(1, len(rows) - max(1, round(len(rows) * test_fraction)))
        train.append(rows[:cut])
        test.append(rows[cut:])
    return np.sort(np.concatenate(train)), np.sort(np.concatenate(test))
