"""Image folders: class folders, list files (ImageNet-R in either split), DomainNet, .npz arrays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from omnitrain.errors import DataError, Unreachable
from omnitrain_lae.data.pictures.sources import ArrayPictures, FilePictures, Pictures, Source, by_position

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff")
DOMAINS = ("clipart", "infograph", "painting", "quickdraw", "real", "sketch")
TEST_NAMES = ("test", "val", "valid", "validation")


def _folder(path: str) -> Path:
    root = Path(path).expanduser()
    if not root.is_dir():
        raise Unreachable(f"{path}: there is no such folder; expected the images' root folder.")
    return root


def _class_folders(root: Path) -> list[Path]:
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith((".", "__")))


def _images_below(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def _scan(root: Path, names: Sequence[str]) -> FilePictures:
    files, labels = [], []
    for label, name in enumerate(names):
        found = _images_below(root / name) if (root / name).is_dir() else []
        files += found
        labels += [label] * len(found)
    return FilePictures(files, np.array(labels, np.int64))


def class_folders(path: str, test_fraction: float) -> Source:
    """Read train/CLASS/... and test/CLASS/... (or val), or CLASS/... of which a share is cut off for the test.

    Raises DataError where there are no class folders.
    """
    root = _folder(path)
    parts = {p.name: p for p in _class_folders(root)}
    test = next((parts[name] for name in TEST_NAMES if name in parts), None)
    if "train" in parts and test is not None:
        names = [p.name for p in _class_folders(parts["train"])]
        unknown = sorted({p.name for p in _class_folders(test)} - set(names))
        if unknown:
            raise DataError(f"{test / unknown[0]}: this class has no folder in {parts['train']}.")
        splits: dict[str, Pictures] = {"train": _scan(parts["train"], names), "test": _scan(test, names)}
        return Source(splits, names)
    names = list(parts)
    if not names:
        raise DataError(f"{path}: expected one folder a class, or train/ and test/ with one folder a class; found neither.")
    return _cut(_scan(root, names), names, test_fraction)


def _cut(pictures: FilePictures, names: Sequence[str], test_fraction: float) -> Source:
    if not len(pictures.files):
        raise DataError(f"No images were found (looked for {', '.join(SUFFIXES)}).")
    train, test = by_position(pictures.labels, test_fraction)
    chosen = {
        split: FilePictures([pictures.files[i] for i in rows], pictures.labels[rows])
        for split, rows in (("train", train), ("test", test))
    }
    return Source(dict(chosen), names)


def _inside(root: Path, relative: str, where: str) -> Path:
    """Return a listed path below the root. Raises DataError for one that leaves it."""
    path = root / relative
    if Path(relative).is_absolute() or not path.resolve().is_relative_to(root.resolve()):
        raise DataError(f"{where}: {relative!r} leads out of {root}; expected a path inside it.")
    return path


def read_list(root: Path, name: str) -> tuple[list[Path], list[int]]:
    """Read a list file with `relative/path.jpg LABEL` a line; the path may hold spaces.

    Raises DataError with file and line for a line of another form, a label that is no number, or a path that leads outside.
    """
    file = _inside(root, name, name)
    if not file.is_file():
        raise DataError(f"{file} is missing; expected a list file with 'relative/path.jpg LABEL' a line.")
    paths, labels = [], []
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        relative, _, label = line.rstrip().rpartition(" ")
        if not relative or not label.isdigit():
            raise DataError(f"{file}:{number}: expected 'relative/path.jpg LABEL', found {line[:80]!r}.")
        paths.append(_inside(root, relative, f"{file}:{number}"))
        labels.append(int(label))
    return paths, labels


def _listed(root: Path, files: Sequence[str]) -> FilePictures:
    paths: list[Path] = []
    labels: list[int] = []
    for name in files:
        more_paths, more_labels = read_list(root, name)
        paths += more_paths
        labels += more_labels
    return FilePictures(paths, np.array(labels, np.int64))


def _names_of(splits: Sequence[FilePictures]) -> list[str]:
    """Name each label by the folder of its first image."""
    count = max(int(p.labels.max()) for p in splits if len(p.labels)) + 1
    names = [f"class {i}" for i in range(count)]
    for pictures in splits:
        for path, label in reversed(list(zip(pictures.files, pictures.labels.tolist(), strict=True))):
            names[label] = path.parent.name
    return names


def list_files(path: str, train_list: str, test_list: str) -> Source:
    """Read images named by two list files (ImageNet-R: train_list.txt and val_list.txt, of either public split)."""
    root = _folder(path)
    train, test = _listed(root, [train_list]), _listed(root, [test_list])
    for name, pictures in ((train_list, train), (test_list, test)):
        if not len(pictures.files):
            raise DataError(f"{root / name} lists no images.")
    return Source({"train": train, "test": test}, _names_of([train, test]))


def domainnet(path: str, domains: Sequence[str], test_fraction: float) -> Source:
    """Read DomainNet: folders DOMAIN/CLASS/..., with DOMAIN_train.txt and DOMAIN_test.txt where they are there.

    The domains are mixed; classes are those of the class folders. Raises DataError for a domain that is missing.
    """
    root = _folder(path)
    chosen = list(domains) or [d for d in DOMAINS if (root / d).is_dir()]
    lacking = [d for d in chosen if not (root / d).is_dir()]
    if lacking or not chosen:
        raise DataError(f"{path}: there is no folder {lacking[0] if lacking else DOMAINS[0]!r}; expected {', '.join(DOMAINS)}.")
    if all((root / f"{d}_{part}.txt").is_file() for d in chosen for part in ("train", "test")):
        train = _listed(root, [f"{d}_train.txt" for d in chosen])
        test = _listed(root, [f"{d}_test.txt" for d in chosen])
        return Source({"train": train, "test": test}, _names_of([train, test]))
    names = sorted({p.name for d in chosen for p in _class_folders(root / d)})
    scans = [_scan(root / d, names) for d in chosen]
    every = FilePictures([f for s in scans for f in s.files], np.concatenate([s.labels for s in scans]))
    return _cut(every, names, test_fraction)


def arrays(path: str) -> Source:
    """Read an .npz with x_train, y_train, x_test, y_test: uint8 images and whole-number labels.

    Raises DataError for a file without them; pickled objects are refused.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise Unreachable(f"{path}: there is no such file; expected an .npz with x_train, y_train, x_test, y_test.")
    try:
        with np.load(file, allow_pickle=False) as stored:
            lacking = [n for n in ("x_train", "y_train", "x_test", "y_test") if n not in stored]
            if lacking:
                raise DataError(f"{path} has no array {lacking[0]!r}; it has {', '.join(stored) or 'none'}.")
            found = {name: stored[name] for name in stored}
    except (ValueError, OSError) as error:
        raise DataError(f"{path} can't be read as .npz without pickled objects: {error}.") from error
    splits = {s: ArrayPictures(found[f"x_{s}"], found[f"y_{s}"].astype(np.int64).reshape(-1)) for s in ("train", "test")}
    count = int(max(p.labels.max() for p in splits.values())) + 1
    return Source(dict(splits), [str(i) for i in range(count)])
