"""Images and labels in an .npz: which dimension is what, and what the numbers mean, is certain, said or refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from omnitrain.api import reading, user_path
from omnitrain.errors import DataError, Unreachable
from omnitrain_lae.data.pictures.decoding import WHITE_OF_16_BITS, scaled
from omnitrain_lae.data.pictures.lists import MOST_CLASSES
from omnitrain_lae.data.pictures.sources import ArrayPictures, Bytes, Ints, Source
from omnitrain_lae.data.pictures.taking import Taking, check_counts

NAMES = ("x_train", "y_train", "x_test", "y_test")
SPLITS = ("train", "test")
CHANNELS = (1, 3, 4)
Array = NDArray[Any]


def arrays(path: str, taking: Taking | None = None) -> Source:
    """Read an .npz with x_train, y_train, x_test, y_test.

    Images are [images, height, width], with 1, 3 or 4 channels behind or before height and width; labels whole numbers,
    names or rows with a single 1. Raises DataError that names the array; pickled objects are refused.
    """
    taking = taking or Taking()
    found = _load(path)
    pixels = _as_bytes(path, {s: found[f"x_{s}"] for s in SPLITS}, taking)
    labels, names = _labels(path, {s: found[f"y_{s}"] for s in SPLITS}, taking)
    for split in SPLITS:
        if len(pixels[split]) != len(labels[split]):
            raise DataError(
                f"{path}: x_{split} has {len(pixels[split])} images, y_{split} {len(labels[split])} labels; expected as many."
            )
    splits = {split: ArrayPictures(pixels[split], labels[split]) for split in SPLITS}
    return check_counts(Source(dict(splits), names), path, taking, False)


def _load(path: str) -> dict[str, Array]:
    file = user_path(path)
    if not file.is_file():
        raise Unreachable(f"{path}: there is no such file; expected an .npz with {', '.join(NAMES)}.")
    # Opened here, since numpy leaves a damaged file open.
    with reading(path, ".npz without pickled objects"), file.open("rb") as opened:
        stored = np.load(opened, allow_pickle=False)
        if not isinstance(stored, np.lib.npyio.NpzFile):
            raise DataError(f"{path} holds one array; expected an .npz with {', '.join(NAMES)}.")
        with stored:
            lacking = [n for n in NAMES if n not in stored]
            if lacking:
                raise DataError(f"{path} has no array {lacking[0]!r}; it has {', '.join(stored) or 'none'}.")
            return {name: stored[name] for name in NAMES}


def _as_bytes(path: str, given: Mapping[str, Array], taking: Taking) -> dict[str, Bytes]:
    """Return uint8[images, height, width(, 3)] of both splits, whose values mean the same."""
    shaped = {split: _channels_last(path, split, array, taking) for split, array in given.items()}
    for split, array in shaped.items():
        if not array.size:
            raise DataError(f"{path}: x_{split} has no images.")
        if array.dtype.kind not in "buif":
            raise DataError(f"{path}: x_{split} is of type {array.dtype}; expected numbers.")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise DataError(f"{path}: x_{split} holds NaN or infinite values.")
    low, high = _range(path, list(shaped.values()), taking)
    plain = {
        split: array if array.dtype == np.uint8 and (low, high) == (0, 255) else scaled(array, low, high)
        for split, array in shaped.items()
    }
    return {split: _without_alpha(path, array, taking) for split, array in plain.items()}


def _range(path: str, shaped: list[Array], taking: Taking) -> tuple[float, float]:
    """Return the values of black and white."""
    if taking.decoding.value_range is not None:
        return taking.decoding.value_range
    kinds = {array.dtype for array in shaped}
    lowest, highest = float(min(a.min() for a in shaped)), float(max(a.max() for a in shaped))
    if kinds == {np.dtype(np.uint8)}:
        if highest <= 1:
            taking.say(f"{path}: no value of x_train and x_test is above {highest:g}; set value_range: [0, 1] if 1 is white")
        return 0, 255
    names = ", ".join(sorted(map(str, kinds)))
    whole = all(array.dtype.kind in "bui" or bool((array == np.round(array)).all()) for array in shaped)
    if kinds == {np.dtype(bool)} or (not whole and lowest >= 0 and highest <= 1):
        taking.say(f"{path}: values of type {names} from {lowest:g} to {highest:g}; 0 becomes black and 1 white (value_range)")
        return 0, 1
    if kinds == {np.dtype(np.uint16)} and highest > 255:
        taking.say(f"{path}: values of type {names}; 0 becomes black and {WHITE_OF_16_BITS:g} white (value_range)")
        return 0, WHITE_OF_16_BITS
    if whole and lowest >= 0 and 1 < highest <= 255:
        taking.say(f"{path}: values of type {names}, whole numbers to {highest:g}; 0 becomes black and 255 white (value_range)")
        return 0, 255
    raise DataError(
        f"{path}: the images are {names} from {lowest:g} to {highest:g}; expected uint8, or set value_range: [black, white]."
    )


def _channels_last(path: str, split: str, array: Array, taking: Taking) -> Array:
    """Return [images, height, width] or [images, height, width, 3 or 4]."""
    if array.ndim == 3:
        return array
    if array.ndim != 4:
        raise DataError(
            f"{path}: x_{split} is {array.dtype}{list(array.shape)}; expected [images, height, width] or "
            "[images, height, width, channels]."
        )
    first, last = array.shape[1] in CHANNELS, array.shape[3] in CHANNELS
    if first == last:
        problem = "its second and its last dimension could be channels" if first else "no dimension is 1, 3 or 4 channels"
        raise DataError(f"{path}: x_{split} is {array.dtype}{list(array.shape)}: {problem}; expected the channels last.")
    if first:
        taking.say(f"{path}: x_{split} is {list(array.shape)}, taken as [images, channels, height, width]")
        array = array.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(array[..., 0] if array.shape[3] == 1 else array)


def _without_alpha(path: str, pixels: Bytes, taking: Taking) -> Bytes:
    if pixels.ndim == 3 or pixels.shape[3] == 3:
        return pixels
    if taking.decoding.ground is not None and int(pixels[..., 3].min()) < 255:
        taking.say(f"{path}: images have transparent parts; behind them is {taking.decoding.ground} (transparency)")
    with reading(path, "images of four channels"):
        return np.stack([np.asarray(taking.decoding.composed(Image.fromarray(image, "RGBA"))) for image in pixels])


def _labels(path: str, given: Mapping[str, Array], taking: Taking) -> tuple[dict[str, Ints], list[str]]:
    """Return int64[images] of both splits, and the names of the classes."""
    flat = {split: _one_column(path, split, array) for split, array in given.items()}
    if any(array.dtype.kind in "US" for array in flat.values()):
        return _named(path, flat, taking)
    numbers: dict[str, Ints] = {}
    for split, array in flat.items():
        if array.dtype.kind not in "buif":
            raise DataError(f"{path}: y_{split} is of type {array.dtype}; expected whole numbers or names.")
        broken = ~np.isfinite(array) | (array != np.round(array)) if array.dtype.kind == "f" else np.zeros(len(array), bool)
        broken |= (array < 0) | (array >= MOST_CLASSES)
        if broken.any():
            row = int(np.flatnonzero(broken)[0])
            raise DataError(f"{path}: label {array[row]} of y_{split}[{row}] is no class; expected whole numbers from 0.")
        numbers[split] = array.astype(np.int64)
    count = max((int(n.max()) for n in numbers.values() if len(n)), default=-1) + 1
    return numbers, [str(i) for i in range(count)]


def _one_column(path: str, split: str, array: Array) -> Array:
    """Return labels in one dimension; rows that hold a single 1 are the number of its column."""
    if array.ndim == 2 and array.shape[1] > 1 and array.dtype.kind in "buif":
        if bool(np.isin(array, (0, 1)).all()) and bool((array.sum(axis=1) == 1).all()):
            return np.asarray(array.argmax(axis=1))
        raise DataError(f"{path}: y_{split} is {list(array.shape)}; expected one label an image, or rows with a single 1.")
    return array.reshape(-1)


def _named(path: str, flat: Mapping[str, Array], taking: Taking) -> tuple[dict[str, Ints], list[str]]:
    with reading(path, "an .npz whose labels are names"):
        texts = {s: [v.decode() if isinstance(v, bytes) else str(v) for v in array.tolist()] for s, array in flat.items()}
    names = sorted(set(texts["train"]))
    unknown = sorted(set(texts["test"]) - set(names))
    if unknown:
        raise DataError(f"{path}: y_test has the class {unknown[0]!r}, which y_train has not.")
    place = {name: i for i, name in enumerate(names)}
    taking.say(f"{path}: labels are names, {len(names)} classes in alphabetical order")
    return {s: np.array([place[t] for t in own], np.int64) for s, own in texts.items()}, names
