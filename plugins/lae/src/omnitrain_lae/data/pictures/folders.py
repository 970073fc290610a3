"""Class folders, with splits or without: which folder is a split and which a class is certain, told or refused."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from omnitrain.api import user_path
from omnitrain.errors import DataError, Unreachable
from omnitrain_lae.data.pictures.sources import FilePictures, Pictures, Source, by_position
from omnitrain_lae.data.pictures.taking import (
    SUFFIXES,
    Taking,
    check_counts,
    folders_in,
    images_below,
    images_in,
    say_others,
)

TRAIN_NAMES = ("train", "training", "trainset", "trn")
# The first that is there is measured on.
TEST_NAMES = ("test", "testing", "testset", "eval", "evaluation", "val", "valid", "validation", "dev")


@dataclass(frozen=True)
class Layout:
    """What a recipe says of class folders. split_folders: folders named as splits are such. deep_classes: images in the
    folders of a class folder belong to the class."""

    split_folders: bool = True
    deep_classes: bool = False


def image_folder(path: str) -> Path:
    """Return an existing folder. Raises Unreachable."""
    root = user_path(path)
    if not root.is_dir():
        raise Unreachable(f"{path}: there is no such folder; expected the images' root folder.")
    return root


def class_folders(path: str, test_fraction: float, taking: Taking | None = None, layout: Layout | None = None) -> Source:
    """Read train/CLASS/... and test/CLASS/..., or CLASS/... of which a share is cut off for the test.

    Splits go by their usual names in any case, if they hold folders and no images. Raises DataError where there are no class
    folders, and where a folder could be a split as well as a class.
    """
    taking, layout = taking or Taking(), layout or Layout()
    root = _unpacked(image_folder(path), taking)
    folders = folders_in(root)
    if not folders:
        raise DataError(f"{path}: expected one folder a class, or train/ and test/ with one folder a class; found neither.")
    _say_loose(root, taking)
    splits = {p: role for p in folders if (role := _role(p)) is not None} if layout.split_folders else {}
    _refuse_flat_splits(root, folders, layout)
    if not splits:
        pictures, names = _classes(root, folders, taking, layout)
        return check_counts(_cut(pictures, names, test_fraction, taking, root), path, taking, True)
    train, test = _splits(root, folders, splits, taking)
    inner = folders_in(train)
    pictures, names = _classes(train, inner, taking, layout)
    if test is None:
        taking.say(f"{train}: there is no folder for the test, so that a share of {test_fraction:g} of each class is cut off")
        return check_counts(_cut(pictures, names, test_fraction, taking, train), path, taking, True)
    unknown = sorted({p.name for p in folders_in(test)} - set(names))
    if unknown:
        raise DataError(f"{test / unknown[0]}: this class has no folder in {train}.")
    _say_loose(test, taking)
    known = [test / name for name in names]
    measured = _scan(known, taking, test)
    if not measured.files:
        raise DataError(f"{test}: no images were found (looked for {', '.join(SUFFIXES)}).")
    found: dict[str, Pictures] = {"train": pictures, "test": measured}
    return check_counts(Source(found, names), path, taking, True)


def _unpacked(root: Path, taking: Taking, is_split: bool = False) -> Path:
    """Return the folder itself, or the only one in it where that holds the folders of classes or splits."""
    inner = folders_in(root)
    alone = len(inner) == 1 and not images_in(root) and _only_folders(inner[0])
    if alone and (is_split or not _named_role(inner[0].name)):
        taking.say(f"{root}: the only folder in it, {inner[0].name}, is taken as the root of the images")
        return inner[0]
    return root


def _only_folders(folder: Path) -> bool:
    return bool(folders_in(folder)) and not images_in(folder)


def _named_role(name: str) -> str | None:
    words = re.findall(r"[a-z]+", name.casefold())
    if any(word in TRAIN_NAMES for word in words):
        return "train"
    return next((word for word in TEST_NAMES if word in words), None)


def _role(folder: Path) -> str | None:
    """Return "train" or the name of a test for a folder that is a split: it holds folders and no images."""
    role = _named_role(folder.name)
    return role if role is not None and _only_folders(folder) else None


def _refuse_flat_splits(root: Path, folders: Sequence[Path], layout: Layout) -> None:
    """Refuse folders that are all named as splits and hold images without class folders: the labels are missing."""
    flat = [p for p in folders if _named_role(p.name) and images_in(p)]
    if layout.split_folders and flat and len(flat) == len(folders):
        raise DataError(
            f"{root}: {' and '.join(p.name for p in flat)} hold images and no class folders, so that labels are missing; give "
            "layout: lists, or set split_folders: false where these are the classes."
        )


def _splits(root: Path, folders: Sequence[Path], splits: dict[Path, str], taking: Taking) -> tuple[Path, Path | None]:
    """Return the folders of train and test. Raises DataError where others beside them hold images, or two are named alike."""
    advice = "set split_folders: false where every folder is a class"
    strangers = [p for p in folders if p not in splits and images_below(p)]
    if strangers:
        raise DataError(
            f"{root}: {', '.join(p.name for p in splits)} hold class folders, and {strangers[0].name} beside them images; take "
            f"it away, or {advice}."
        )
    trains = [p for p, role in splits.items() if role == "train"]
    if len(trains) != 1:
        found = " and ".join(p.name for p in trains) or f"{', '.join(p.name for p in splits)} and none to learn from"
        raise DataError(f"{root}: expected one folder train, found {found}; {advice}.")
    tests = sorted((p for p in splits if p not in trains), key=lambda p: (TEST_NAMES.index(splits[p]), p.name))
    for left in tests[1:]:
        taking.say(f"{left}: not used, since {tests[0].name} is the test; validation_fraction cuts a share off train")
    if trains[0].name != "train" or (tests and tests[0].name not in ("test", "val", "valid", "validation")):
        taking.say(f"{root}: {trains[0].name} is taken as train, {tests[0].name if tests else 'nothing'} as test")
    found_splits = [_unpacked(trains[0], taking, True), *(_unpacked(p, taking, True) for p in tests[:1])]
    return found_splits[0], found_splits[1] if tests else None


def _classes(root: Path, folders: Sequence[Path], taking: Taking, layout: Layout) -> tuple[FilePictures, list[str]]:
    """Return the pictures of class folders, and their names. Raises DataError where it is open what the classes are."""
    deep = {p: [f for f in folders_in(p) if images_below(f)] for p in folders}
    inside = {p: inner for p, inner in deep.items() if inner and not images_in(p)}
    with_images = [p for p in folders if deep[p] or images_in(p)]
    if inside and len(inside) == len(with_images) and not layout.deep_classes:
        common = {tuple(f.name for f in inner) for inner in inside.values()}
        if not (len(common) == 1 and len(next(iter(common))) == 1 and len(inside) > 1):
            first = next(iter(inside))
            raise DataError(
                f"{root}: its folders hold no images but folders, such as {first.name}/{inside[first][0].name}; give the path "
                "of the folder whose folders are the classes, or set deep_classes: true where these here are."
            )
    named = [p.name for p in folders if _named_role(p.name)]
    if named:
        taking.say(f"{root}: the folder {named[0]} is taken as a class, as are {len(folders) - 1} beside it")
    several = [p for p, inner in deep.items() if inner]
    if several:
        inner = ", ".join(f.name for f in deep[several[0]][:3])
        taking.say(f"{several[0]}: images in its folders ({inner}) belong to the class, as in {len(several)} of {len(folders)}")
    names = [p.name for p in folders]
    found = _scan(folders, taking, root)
    if not found.files:
        raise DataError(f"{root}: no images were found (looked for {', '.join(SUFFIXES)}).")
    return found, names


def _scan(folders: Sequence[Path], taking: Taking, where: Path) -> FilePictures:
    """Return the pictures of folders, labelled by the folder's place."""
    files: list[Path] = []
    labels: list[int] = []
    others: Counter[str] = Counter()
    for label, folder in enumerate(folders):
        found = images_below(folder, others) if folder.is_dir() else []
        files += found
        labels += [label] * len(found)
    say_others(others, where, taking)
    return taking.pictures(files, np.array(labels, np.int64), where)


def _say_loose(root: Path, taking: Taking) -> None:
    loose = images_in(root)
    if loose:
        taking.say(f"{root}: {len(loose)} images lie in no class folder and are left out, such as {loose[0].name}")


def _cut(pictures: FilePictures, names: Sequence[str], test_fraction: float, taking: Taking, where: Path) -> Source:
    train, test = by_position(pictures.labels, test_fraction)
    if not len(test):
        raise DataError(f"{where}: every class has one image, so that none is left for the test; give a folder test.")
    return Source({"train": pictures.of(train), "test": pictures.of(test)}, names)


def mixed_folders(root: Path, parts: Sequence[str], test_fraction: float, taking: Taking) -> Source:
    """Read PART/CLASS/... with the same classes in all parts, mixed, of which a share is cut off for the test."""
    names = sorted({p.name for part in parts for p in folders_in(root / part)})
    scans = [_scan([root / part / name for name in names], taking, root / part) for part in parts]
    files = [file for scan in scans for file in scan.files]
    every = FilePictures(files, np.concatenate([scan.labels for scan in scans]), taking.decoding)
    if not files:
        raise DataError(f"{root}: no images were found (looked for {', '.join(SUFFIXES)}).")
    return check_counts(_cut(every, names, test_fraction, taking, root), str(root), taking, False)
