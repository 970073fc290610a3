"""What a source of labelled images is: pictures in memory, or files that are decoded when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from omnitrain.errors import DataError

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
    """Images as files. skipped: files left out since they can't be read."""

    files: list[Path]
    labels: Ints
    skipped: list[str] = field(default_factory=list)

    def image(self, row: int) -> Image.Image:
        """Decode one file. Raises DataError that names a file which is missing or broken."""
        path = self.files[row]
        try:
            with Image.open(path) as opened:
                return opened.convert("RGB")
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise DataError(
                f"{path}: the image can't be read ({_reason(error)}). Replace it, take it off the list, or set malformed: skip."
            ) from error

    def digest(self) -> bytes:
        """Return names, sizes and labels; reading all files would take as long as an epoch."""
        lines = [f"{path.name}:{path.stat().st_size if path.exists() else -1}" for path in self.files]
        return "\n".join(lines).encode() + self.labels.tobytes()

    def readable(self) -> FilePictures:
        """Return the pictures without those that can't be decoded; `skipped` names them."""
        kept, lost = [], []
        for row, path in enumerate(self.files):
            try:
                self.image(row)
                kept.append(row)
            except DataError:
                lost.append(str(path))
        rows = np.array(kept, np.int64)
        return FilePictures([self.files[i] for i in kept], self.labels[rows], lost)


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__


@dataclass
class Source:
    """A data set of labelled images. splits: pictures by split, "train" first. class_names: by label."""

    splits: dict[str, Pictures]
    class_names: Sequence[str]

    def __post_init__(self) -> None:
        for name, pictures in self.splits.items():
            if not len(pictures.labels):
                raise DataError(f"Split {name!r} has no images.")
            highest = int(pictures.labels.max())
            if highest >= len(self.class_names) or int(pictures.labels.min()) < 0:
                raise DataError(f"Split {name!r} has label {highest}, but there are {len(self.class_names)} classes.")


def by_position(labels: Ints, test_fraction: float) -> tuple[Ints, Ints]:
    """Return (train rows, test rows): of each class the last images, by their position, are for the test."""
    train, test = [], []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        cut = len(rows) - max(1, round(len(rows) * test_fraction))
        train.append(rows[:cut])
        test.append(rows[cut:])
    return np.sort(np.concatenate(train)), np.sort(np.concatenate(test))
