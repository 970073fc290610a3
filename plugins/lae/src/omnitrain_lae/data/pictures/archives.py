"""CIFAR's pickles and Omniglot's archives, read without trusting them."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from omnitrain.api import reading, user_path
from omnitrain.errors import DataError, Unreachable
from omnitrain_lae.data.pictures.decoding import Decoding
from omnitrain_lae.data.pictures.sources import ArrayPictures, Source

ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}
LAST_TRAIN_DRAWER = 15
BIGGEST_PICTURE = 1 << 20
MOST_LABELS = 100


class _NumpyOnly(pickle.Unpickler):
    """Builds arrays and plain values; any other name in the file is refused, so nothing of it can run."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no CIFAR file needs")
        import _codecs

        if module == "_codecs":
            return _codecs.encode
        if name == "_reconstruct":
            from numpy._core.multiarray import _reconstruct

            return _reconstruct
        return getattr(np, name)


def read_numpy_pickle(path: Path) -> dict[str, Any]:
    """Read a pickled dictionary of arrays, lists and text. Raises DataError for anything else."""
    if not path.is_file():
        raise DataError(f"{path} is missing; expected the folder that CIFAR's python archive unpacks to.")
    with reading(path, "a CIFAR file"), path.open("rb") as file:
        found = _NumpyOnly(file, encoding="bytes").load()  # find_class admits numpy arrays only
    if not isinstance(found, dict):
        raise DataError(f"{path} holds a {type(found).__name__}; expected CIFAR's dictionary.")
    return {k.decode() if isinstance(k, bytes) else str(k): v for k, v in found.items()}


def _cifar_part(folder: Path, names: Sequence[str], label_key: str) -> ArrayPictures:
    pixels, labels = [], []
    for name in names:
        found = read_numpy_pickle(folder / name)
        if "data" not in found or label_key not in found:
            raise DataError(f"{folder / name} has no entry {label_key!r} or 'data'; it has {', '.join(found)}.")
        with reading(folder / name, "a CIFAR file"):
            flat = np.asarray(found["data"])
            own = np.array(list(found[label_key]), np.int64).reshape(-1)
        if flat.dtype != np.uint8 or flat.ndim != 2 or flat.shape[1] != 3072:
            raise DataError(f"{folder / name}: 'data' is {flat.dtype}{list(flat.shape)}; expected uint8[images, 3072].")
        pixels.append(flat.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        if len(own) != len(flat) or bool((own < 0).any()) or bool((own >= MOST_LABELS).any()):
            raise DataError(f"{folder / name}: {len(flat)} images and {len(own)} labels; expected as many, from 0 to 99.")
        labels.append(own)
    return ArrayPictures(np.ascontiguousarray(np.concatenate(pixels)), np.concatenate(labels))


def cifar100(path: str) -> Source:
    """Read cifar-100-python/{train,test,meta}; path: that folder or the one it lies in."""
    folder = _cifar_folder(path, "cifar-100-python")
    train, test = (_cifar_part(folder, [name], "fine_labels") for name in ("train", "test"))
    return Source({"train": train, "test": test}, _texts(read_numpy_pickle(folder / "meta").get("fine_label_names"), train))


def cifar10(path: str) -> Source:
    """Read cifar-10-batches-py; path: that folder or the one it lies in."""
    folder = _cifar_folder(path, "cifar-10-batches-py")
    train = _cifar_part(folder, [f"data_batch_{i}" for i in range(1, 6)], "labels")
    test = _cifar_part(folder, ["test_batch"], "labels")
    return Source({"train": train, "test": test}, _texts(read_numpy_pickle(folder / "batches.meta").get("label_names"), train))


def _cifar_folder(path: str, name: str) -> Path:
    root = user_path(path)
    found = next((p for p in (root, root / name) if p.is_dir() and any(p.glob("*meta"))), None)
    if found is None:
        raise Unreachable(f"{path}: expected the folder {name} (or the one it lies in) with its files and its meta file.")
    return found


def _texts(names: Any, train: ArrayPictures) -> list[str]:
    count = int(train.labels.max()) + 1
    if not isinstance(names, list) or len(names) < count:
        return [str(i) for i in range(count)]
    return [n.decode() if isinstance(n, bytes) else str(n) for n in names]


def omniglot(path: str, alphabets: Sequence[str], size: int) -> Source:
    """Read Omniglot from its archives (or one of them): ARCHIVE/ALPHABET/characterNN/DDDD_EE.png, ink 1, box-resized.

    path: a .zip, or a folder of them. alphabets: which ones; none means all. Entries of __MACOSX are no images, and an
    alphabet that occurs in two archives is read from the first only. Drawers 01-15 are the train split, 16-20 the test.
    Raises DataError for an unknown alphabet or a broken image.
    """
    root = user_path(path)
    archives = sorted(root.glob("*.zip")) if root.is_dir() else [root]
    if not archives or not archives[0].is_file():
        raise Unreachable(f"{path}: expected an Omniglot archive (.zip) or a folder of them.")
    owners: dict[str, Path] = {}
    entries: list[tuple[str, str, int, Path, str]] = []
    for archive in archives:
        for name in _entries(archive):
            _, alphabet, character, picture = name.split("/")
            drawer = picture[:-4].rpartition("_")[2]
            if not (drawer.isascii() and drawer.isdigit()):
                raise DataError(f"{archive}:{name}: expected a drawing's name with its drawer, such as 0001_05.png.")
            if owners.setdefault(alphabet, archive) == archive and (not alphabets or alphabet in alphabets):
                entries.append((alphabet, character, int(drawer), archive, name))
    lacking = [a for a in alphabets if a not in owners]
    if lacking:
        raise DataError(f"{path}: there is no alphabet {lacking[0]!r}; there are {', '.join(sorted(owners)) or 'none'}.")
    if not entries:
        raise DataError(f"{path}: there are no drawings ARCHIVE/ALPHABET/characterNN/DDDD_EE.png.")
    entries.sort()
    names = sorted({f"{alphabet}/{character}" for alphabet, character, *_ in entries})
    numbers = {name: i for i, name in enumerate(names)}
    opened = {archive: zipfile.ZipFile(archive) for archive in archives}
    try:
        pixels = np.stack([_ink(opened[archive], archive, name, size) for *_, archive, name in entries])
    finally:
        for file in opened.values():
            file.close()
    labels = np.array([numbers[f"{alphabet}/{character}"] for alphabet, character, *_ in entries], np.int64)
    test = np.array([drawer > LAST_TRAIN_DRAWER for _, _, drawer, *_ in entries])
    splits = {"train": ArrayPictures(pixels[~test], labels[~test]), "test": ArrayPictures(pixels[test], labels[test])}
    return Source(dict(splits), names)


def _entries(archive: Path) -> list[str]:
    with reading(archive, "an archive"), zipfile.ZipFile(archive) as file:
        names = file.namelist()
    return [n for n in names if n.endswith(".png") and n.count("/") == 3 and not n.startswith("__MACOSX") and "/._" not in n]


def _ink(opened: zipfile.ZipFile, archive: Path, name: str, size: int) -> np.ndarray:
    with reading(f"{archive}:{name}: the image", "a drawing"):
        if opened.getinfo(name).file_size > BIGGEST_PICTURE:
            raise ValueError("it is larger than any Omniglot drawing")
        image = Decoding().image(Image.open(io.BytesIO(opened.read(name)))).convert("L")
    return 255 - np.asarray(image.resize((size, size), Image.Resampling.BOX))
