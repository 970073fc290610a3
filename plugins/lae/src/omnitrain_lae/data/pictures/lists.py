"""Images named by list files (ImageNet-R in either split), and DomainNet."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from omnitrain.api import shown, text_lines
from omnitrain.errors import DataError
from omnitrain_lae.data.pictures.folders import image_folder, mixed_folders
from omnitrain_lae.data.pictures.sources import FilePictures, Source
from omnitrain_lae.data.pictures.taking import Taking, check_counts, is_image

DOMAINS = ("clipart", "infograph", "painting", "quickdraw", "real", "sketch")
# Labels are numbers of classes: more of them than this are ids of something else.
MOST_CLASSES = 1_000_000
_LINE = re.compile(r"\s*\"?(.+?)\"?\s*[\t ,;]\s*([0-9]{1,9})\s*")


def _inside(root: Path, relative: str, where: str) -> Path:
    """Return a listed path below the root. Raises DataError for one that leaves it."""
    path = root / relative
    try:
        out = Path(relative).is_absolute() or not path.resolve().is_relative_to(root.resolve())
        path.is_file()  # raises for what is too long for a name
    except (ValueError, OSError, RuntimeError) as error:
        raise DataError(f"{where}: {shown(relative)!r} is no path.") from error
    if out:
        raise DataError(f"{where}: {shown(relative)!r} leads out of {root}; expected a path inside it.")
    return path


def read_list(root: Path, name: str, taking: Taking | None = None) -> tuple[list[Path], list[int]]:
    """Read a list file with `relative/path.jpg LABEL` a line; the path may hold spaces, and a tab or comma may separate.

    Raises DataError with file and line for a line of another form, a label that is no number, a path that leads outside or
    to no file, unless such files are left out.
    """
    taking = taking or Taking()
    file = _inside(root, name, name)
    if not file.is_file():
        raise DataError(f"{file} is missing; expected a list file with 'relative/path.jpg LABEL' a line.")
    paths: list[Path] = []
    labels: list[int] = []
    missing: list[str] = []
    begun = False
    for number, line in text_lines(file):
        if not line.strip():
            continue
        where = f"{file}:{number}"
        found = _LINE.fullmatch(line)
        if found is None and not begun and not any(is_image(os.path.basename(f)) for f in re.split(r"[\t ,;]", line)):
            taking.say(f"{where}: {shown(line)!r} is taken for names of columns")
            begun = True
            continue
        begun = True
        if found is None or int(found[2]) >= MOST_CLASSES:
            raise DataError(f"{where}: expected 'relative/path.jpg LABEL', found {shown(line)!r}.")
        path = _inside(root, found[1], where)
        if path.is_file():
            paths.append(path)
            labels.append(int(found[2]))
        elif taking.skip:
            missing.append(where)
        else:
            raise DataError(f"{where}: {shown(found[1])!r} is not there in {root}. Correct it, or set malformed: skip.")
    if missing:
        taking.say(
            f"{file}: left out {len(missing)} images that are not there, the first in line {missing[0].rpartition(':')[2]}"
        )
    return paths, labels


def _listed(root: Path, files: Sequence[str], taking: Taking) -> FilePictures:
    paths: list[Path] = []
    labels: list[int] = []
    for name in files:
        more_paths, more_labels = read_list(root, name, taking)
        paths += more_paths
        labels += more_labels
    _say_doubles(root, files, paths, labels, taking)
    return taking.pictures(paths, np.array(labels, np.int64), root / files[0])


def _say_doubles(root: Path, files: Sequence[str], paths: Sequence[Path], labels: Sequence[int], taking: Taking) -> None:
    known: dict[Path, int] = {}
    for path, label in zip(paths, labels, strict=True):
        if known.setdefault(path, label) != label:
            raise DataError(f"{root / files[0]}: {path} is listed with the labels {known[path]} and {label}; expected one.")
    if len(known) < len(paths):
        taking.say(f"{root / files[0]}: {len(paths) - len(known)} images are listed twice or more, and count so often")


def _names_of(splits: Sequence[FilePictures]) -> list[str]:
    """Name each label by the folder of its first image."""
    count = max(int(p.labels.max()) for p in splits if len(p.labels)) + 1
    names = [f"class {i}" for i in range(count)]
    for pictures in splits:
        for path, label in reversed(list(zip(pictures.files, pictures.labels.tolist(), strict=True))):
            names[label] = path.parent.name
    return names


def _from_lists(root: Path, train_lists: Sequence[str], test_lists: Sequence[str], taking: Taking) -> Source:
    train, test = _listed(root, train_lists, taking), _listed(root, test_lists, taking)
    for names, pictures in ((train_lists, train), (test_lists, test)):
        if not len(pictures.files):
            raise DataError(f"{root / names[0]} lists no images.")
    shared = set(train.files) & set(test.files)
    if shared:
        taking.say(f"{root / test_lists[0]}: {len(shared)} of {len(test.files)} images are in the list for training too")
    return check_counts(Source({"train": train, "test": test}, _names_of([train, test])), str(root), taking, False)


def list_files(path: str, train_list: str, test_list: str, taking: Taking | None = None) -> Source:
    """Read images named by two list files (ImageNet-R: train_list.txt and val_list.txt, of either public split)."""
    return _from_lists(image_folder(path), [train_list], [test_list], taking or Taking())


def domainnet(path: str, domains: Sequence[str], test_fraction: float, taking: Taking | None = None) -> Source:
    """Read DomainNet: folders DOMAIN/CLASS/..., with DOMAIN_train.txt and DOMAIN_test.txt where they are there.

    The domains are mixed; classes are those of the class folders. Raises DataError for a domain that is missing.
    """
    root, taking = image_folder(path), taking or Taking()
    chosen = list(domains) or [d for d in DOMAINS if (root / d).is_dir()]
    lacking = [d for d in chosen if not (root / d).is_dir()]
    if lacking or not chosen:
        raise DataError(f"{path}: there is no folder {lacking[0] if lacking else DOMAINS[0]!r}; expected {', '.join(DOMAINS)}.")
    if all((root / f"{d}_{part}.txt").is_file() for d in chosen for part in ("train", "test")):
        return _from_lists(root, [f"{d}_train.txt" for d in chosen], [f"{d}_test.txt" for d in chosen], taking)
    return mixed_folders(root, chosen, test_fraction, taking)
