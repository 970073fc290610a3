"""Episodes on disk: one memory-mapped array per field, and where each episode begins.

A folder holds `<field>.bin` (the steps of all episodes, one behind the other) and `episodes.json` (shapes, types, lengths).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from omnitrain.errors import DataError

INDEX = "episodes.json"


class EpisodeWriter:
    """Writes episodes into a new folder, one after the other. Use as a context manager.

    about: plain JSON that is kept with them, such as the game in which they were played.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any] | None = None) -> None:
        self._folder, self._about = folder, dict(about or {})
        self._files: dict[str, IO[bytes]] = {}
        self._fields: dict[str, dict[str, Any]] = {}
        self._lengths: list[int] = []
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, episode: Mapping[str, NDArray[Any]]) -> None:
        """Append an episode; every array is [step, ...] with the same number of steps.

        Raises DataError when fields, shapes or lengths do not fit those before.
        """
        lengths = {len(values) for values in episode.values()}
        described = {n: {"shape": list(v.shape[1:]), "dtype": v.dtype.str} for n, v in episode.items()}
        if len(lengths) != 1:
            raise DataError(f"An episode's fields have different numbers of steps: {sorted(lengths)}.")
        if self._fields and described != self._fields:
            raise DataError(f"Episode {len(self._lengths)} has the fields {described}; those before have {self._fields}.")
        self._fields = described
        for name, values in episode.items():
            if name not in self._files:
                self._files[name] = open(self._folder / f"{name}.bin", "wb")  # noqa: SIM115 (closed in close)
            self._files[name].write(np.ascontiguousarray(values).tobytes())
        self._lengths.append(lengths.pop())

    def close(self) -> None:
        """Write the index; without it the folder holds no episodes."""
        for file in self._files.values():
            file.close()
        index = {"lengths": self._lengths, "fields": self._fields, "about": self._about}
        (self._folder / INDEX).write_text(json.dumps(index), encoding="utf-8")

    def __enter__(self) -> EpisodeWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _count(value: Any) -> int:
    """Return a length of an index.

    Raises ValueError for what is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is no number of steps")
    return value


def _described(entry: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the shape and type of a field.

    Raises ValueError or TypeError for an entry that does not tell them.
    """
    return tuple(_count(size) for size in entry["shape"]), np.dtype(str(entry["dtype"]))


class EpisodeStore:
    """The episodes of a folder, mapped, not read. about: what was kept with them.

    Raises DataError when the folder holds none or its files do not have the announced sizes.
    """

    def __init__(self, folder: Path) -> None:
        try:
            index = json.loads((folder / INDEX).read_text("utf-8"))
            self.lengths = np.array([_count(length) for length in index["lengths"]], np.int64)
            described = {str(name): _described(entry) for name, entry in index["fields"].items()}
            self.about: Mapping[str, Any] = dict(index.get("about", {}))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise DataError(f"{folder} holds no episodes: {INDEX} is missing or damaged.") from error
        self.folder = folder
        self.offsets: NDArray[np.int64] = np.concatenate([np.zeros(1, np.int64), np.cumsum(self.lengths)])
        self.fields = {name: self._map(name, shape, dtype) for name, (shape, dtype) in described.items()}

    def _map(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        path = self.folder / f"{name}.bin"
        shape = (int(self.offsets[-1]), *shape)
        if Path(name).name != name or dtype.hasobject:
            raise DataError(f"{self.folder / INDEX}: the field {name!r} of type {dtype} can't be read.")
        size = math.prod(shape) * dtype.itemsize
        if not path.is_file() or path.stat().st_size != size:
            raise DataError(f"{path} does not have the size that {INDEX} announces; it may be cut short.")
        if not size:
            return np.zeros(shape, dtype)
        return np.memmap(path, dtype=dtype, mode="r", shape=shape)

    def __len__(self) -> int:
        return len(self.lengths)

    def episode(self, number: int) -> dict[str, NDArray[Any]]:
        """Return the fields of one episode, [step, ...]."""
        begin, end = self.offsets[number], self.offsets[number + 1]
        return {name: values[begin:end] for name, values in self.fields.items()}

    @cached_property
    def returns(self) -> NDArray[np.float64]:
        """The sum of `rewards` of each episode, float64[episodes]."""
        if not len(self):
            return np.zeros(0)
        sums = np.concatenate([[0.0], np.cumsum(np.asarray(self.fields["rewards"], np.float64))])
        return np.asarray(sums[self.offsets[1:]] - sums[self.offsets[:-1]], np.float64)

    def best(self, fraction: float) -> NDArray[np.int64]:
        """Return the numbers of the episodes with the highest return, at least one, in their order."""
        count = max(1, round(fraction * len(self)))
        order = np.argsort(-self.returns, kind="stable")
        return np.sort(order[:count]).astype(np.int64)

    def windows(self, names: Sequence[str], starts: NDArray[np.int64], length: int) -> dict[str, NDArray[Any]]:
        """Return windows [row, length, ...] that begin at absolute steps, in one gather per field."""
        places = starts[:, None] + np.arange(length)
        return {name: self.fields[name][places] for name in names}
