"""How a source is read: with which settings, what is left out, and what was taken that a person should hear of."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from omnitrain.errors import DataError
from omnitrain_lae.data.pictures.decoding import Decoding, has_alpha, is_sixteen_bits, orientation
from omnitrain_lae.data.pictures.sources import FilePictures, Ints, Source

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
)
# Files that lie beside images and hold none.
COMPANIONS = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".md", ".html", ".db", ".ini", ".yaml", ".yml", ".py", ".log")
HIDDEN_FOLDERS = ("@eaDir", "$RECYCLE.BIN", "lost+found")
LOOKED_AT = 500
OPEN = "have values of 32 bits (value_range)"


@dataclass
class Taking:
    """Settings and notes of one reading. skip: leave out files that can't be decoded."""

    skip: bool = False
    decoding: Decoding = field(default_factory=Decoding)
    notes: list[str] = field(default_factory=list)

    def say(self, note: str) -> None:
        """Note what was taken, once."""
        if note not in self.notes:
            self.notes.append(note)

    def pictures(self, files: Sequence[Path], labels: Ints, where: Path | str) -> FilePictures:
        """Return the pictures of files, without those that can't be decoded where that is asked for, and say what they are.

        Called before a split is cut, so that every class keeps its share of what is left.
        """
        every = FilePictures(list(files), labels, self.decoding)
        found = every.readable() if self.skip else every
        if files and not found.files:
            raise DataError(f"{where}: none of {len(files)} images can be read; the first: {found.skipped[0]}")
        if found.skipped:
            self.say(f"{where}: left out {len(found.skipped)} of {len(files)} images, the first: {found.skipped[0]}")
        self._survey(found.files, where)
        return found

    def _survey(self, files: Sequence[Path], where: Path | str) -> None:
        """Look at the headers of some files, evenly over all, and say what is done to them. Broken ones are told elsewhere."""
        chosen = files[:: max(1, -(-len(files) // LOOKED_AT))]
        found: Counter[str] = Counter()
        for path in chosen:
            said = self._peculiar(path)
            found.update(said)
            if OPEN in said and not self.skip:
                FilePictures([path], np.zeros(1, np.int64), self.decoding).image(0)  # raises, and names the setting
        for what, count in found.items():
            self.say(f"{where}: {count} of {len(chosen)} images looked at {what}")

    def _peculiar(self, path: Path) -> list[str]:
        ground = self.decoding.ground or "nothing, which is refused"
        try:
            with Image.open(path) as image:
                said = {
                    "are turned upright, as their EXIF data say": orientation(image) != 1,
                    f"have 16 bits; {self._range()}": is_sixteen_bits(image),
                    OPEN: image.mode in ("I", "F") and not is_sixteen_bits(image),
                    f"can be transparent; behind it is {ground} (transparency)": has_alpha(image),
                    "hold several pictures, of which the first is taken": bool(getattr(image, "is_animated", False)),
                }
        except Exception:  # decoding the file tells what is wrong with it, or leaves it out
            return []
        return [what for what, holds in said.items() if holds]

    def _range(self) -> str:
        low, high = self.decoding.value_range or (0, 65535)
        return f"{low:g} becomes black and {high:g} white (value_range)"


def visible(name: str) -> bool:
    """Whether a folder or file is the user's own, none that a system or a notebook keeps beside it."""
    return not name.startswith((".", "__")) and name not in HIDDEN_FOLDERS


def folders_in(folder: Path) -> list[Path]:
    """Return the visible folders in a folder, by name."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and visible(p.name))


def is_image(name: str) -> bool:
    """Whether a file is an image by its name."""
    return visible(name) and os.path.splitext(name)[1].lower() in SUFFIXES


def images_in(folder: Path) -> list[Path]:
    """Return the images that lie in a folder itself."""
    return sorted(p for p in folder.iterdir() if is_image(p.name) and not p.is_dir())


def images_below(folder: Path, others: Counter[str] | None = None) -> list[Path]:
    """Return the images in a folder and in the visible folders below it. others: counts suffixes of what is no image."""
    found: list[Path] = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if visible(name)]
        found += [Path(place, name) for name in files if is_image(name)]
        if others is not None:
            suffixes = (os.path.splitext(name)[1].lower() for name in files if visible(name) and not is_image(name))
            others.update(suffix for suffix in suffixes if suffix not in COMPANIONS)
    return sorted(found)


def say_others(others: Counter[str], where: Path, taking: Taking) -> None:
    """Say which files were left out since their names are not those of images."""
    if others:
        kinds = ", ".join(f"{count} {suffix or 'without a suffix'}" for suffix, count in others.most_common(5))
        taking.say(f"{where}: files that are no images by their names are left out: {kinds}")


def check_counts(source: Source, where: str, taking: Taking, empty_is_a_fault: bool) -> Source:
    """Refuse or say that classes have no images to learn from, say which have none to be measured on, or that there is one.

    Raises DataError for a class folder that leaves nothing to learn.
    """
    count = len(source.class_names)
    here = {split: np.bincount(pictures.labels, minlength=count) for split, pictures in source.splits.items()}
    for split, doing in (("train", "to learn from"), ("test", "to be measured on")):
        empty = [str(source.class_names[int(i)]) for i in np.flatnonzero(here[split] == 0)]
        if not empty:
            continue
        shown = f"{', '.join(empty[:5])}{', ...' if len(empty) > 5 else ''}"
        if split == "train" and empty_is_a_fault:
            raise DataError(f"{where}: no image {doing} of {shown}; add some, or take the folder away.")
        taking.say(f"{where}: no image {doing} of {len(empty)} of {count} classes: {shown}")
    if count == 1:
        taking.say(f"{where}: there is one class only, {source.class_names[0]!r}, so that every answer is right")
    return source
