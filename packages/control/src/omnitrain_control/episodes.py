"""Episodes on disk: one memory-mapped array per field, and where each episode begins.

A folder holds `<field>.bin` (the rows of all episodes, one behind the other) and `episodes.json` (shapes, types, lengths). The
index is replaced as a whole, after the rows that it counts are safe on disk: whatever a kill or a loss of power leaves behind
the last of them belongs to nobody and is cut off when the folder is gone on with.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from omnitrain.engine import write_whole
from omnitrain.errors import DataError, EnvironmentFault
from omnitrain_control.listing import INDEX

COMMIT_S = 2.0  # a growing folder is made safe after so long, or fifty times as long as that took the last time


def _count(value: Any) -> int:
    """Return a length of an index.

    Raises ValueError for what is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is no number of steps")
    return value


@dataclass(frozen=True)
class StoredField:
    """Shape and type of one row; final: an episode has one row more than it has steps, what is seen after its last action."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    final: bool = False

    @classmethod
    def read(cls, entry: Any) -> StoredField:
        """Return what an index says of a field.

        Raises ValueError or TypeError for an entry that does not tell it.
        """
        final = entry.get("final", False)
        if not isinstance(final, bool):
            raise ValueError(f"{final!r} is neither true nor false")
        return cls(tuple(_count(size) for size in entry["shape"]), np.dtype(str(entry["dtype"])), final)

    def plain(self) -> dict[str, Any]:
        """Return it as an index has it."""
        told = {"shape": list(self.shape), "dtype": self.dtype.str}
        return {**told, "final": True} if self.final else told

    @property
    def row(self) -> int:
        """Bytes of a row."""
        return math.prod(self.shape) * self.dtype.itemsize

    def rows(self, lengths: NDArray[np.int64]) -> int:
        """Return how many rows episodes of these lengths have."""
        return int(lengths.sum()) + (len(lengths) if self.final else 0)


@dataclass
class EpisodeIndex:
    """What `episodes.json` says. labels: of each episode plain JSON, such as its task; empty where none has any."""

    lengths: list[int] = field(default_factory=list)
    fields: dict[str, StoredField] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    labels: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path) -> EpisodeIndex:
        """Return the index of a folder.

        Raises DataError for a folder that has none, and for a damaged one.
        """
        try:
            index = json.loads((folder / INDEX).read_text("utf-8"))
            lengths = [_count(length) for length in index["lengths"]]
            np.array([sum(lengths)], np.int64)
            fields = {str(name): StoredField.read(entry) for name, entry in index["fields"].items()}
            labels = [dict(label) for label in index.get("labels", [])]
            if labels and len(labels) != len(lengths):
                raise ValueError("labels of other episodes")
            about = dict(index.get("about", {}))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise DataError(f"{folder} holds no episodes: {INDEX} is missing or damaged.") from error
        for name, stored in fields.items():
            if Path(name).name != name or stored.dtype.hasobject:
                raise DataError(f"{folder / INDEX}: the field {name!r} of type {stored.dtype} can't be read.")
        return cls(lengths, fields, about, labels)

    def text(self) -> str:
        """Return it as JSON."""
        fields = {name: stored.plain() for name, stored in self.fields.items()}
        told: dict[str, Any] = {"lengths": self.lengths, "fields": fields, "about": self.about}
        return json.dumps({**told, "labels": self.labels} if any(self.labels) else told)

    def cut(self, episodes: int) -> None:
        """Forget what is behind the first episodes."""
        del self.lengths[episodes:], self.labels[episodes:]

    def whole(self, folder: Path) -> int:
        """Return how many episodes, from the first, have all their rows in the files."""
        lengths = np.array(self.lengths, np.int64)
        ends = np.cumsum(lengths)
        found = len(lengths)
        for name, stored in self.fields.items():
            path = folder / f"{name}.bin"
            if stored.row:
                held = path.stat().st_size // stored.row if path.is_file() else 0
                needed = ends + np.arange(1, len(ends) + 1) if stored.final else ends
                found = min(found, int(np.searchsorted(needed, held, side="right")))
        return found


def _checked_files(folder: Path, index: EpisodeIndex, cut: str) -> int:
    """Refuse files that hold fewer rows than the index counts, or drop the episodes that are not whole; return how many."""
    whole = index.whole(folder)
    lost = len(index.lengths) - whole
    if lost and cut == "refuse":
        lengths = np.array(index.lengths, np.int64)
        sizes = {name: stored.rows(lengths) * stored.row for name, stored in index.fields.items()}
        paths = [folder / f"{name}.bin" for name in sizes]
        short = next(p for p, size in zip(paths, sizes.values(), strict=True) if not p.is_file() or p.stat().st_size < size)
        raise DataError(
            f"{short} does not have the size that {INDEX} announces; it was cut short and holds {whole} of {whole + lost} "
            "episodes: bring the file back, or go on with those that are whole (broken: skip)."
        )
    index.cut(whole)
    return lost


class EpisodeWriter:
    """Writes episodes into a folder, one behind the other. Use as a context manager.

    about: plain JSON that is kept with them, such as the game in which they were played. final: fields with one row more than
    there are steps (observations up to the one after the last action), so that the next observation is the next row.
    grow: go on behind the episodes that the folder holds, and make what is written safe every few seconds; otherwise the folder
    begins anew and is safe after `commit` or `close`.
    Raises DataError for a folder that can't be gone on with.
    """

    def __init__(
        self, folder: Path, about: Mapping[str, Any] | None = None, *, final: tuple[str, ...] = (), grow: bool = False
    ) -> None:
        self.folder, self._final, self._grow = folder, frozenset(final), grow
        self._files: dict[str, IO[bytes]] = {}
        self.index = EpisodeIndex(about=dict(about or {}))
        self._committed, self._patience, self._open = time.monotonic(), COMMIT_S, True
        self._unsafe = False
        folder.mkdir(parents=True, exist_ok=True)
        if grow and (folder / INDEX).exists():
            self._continue(about)

    def _continue(self, about: Mapping[str, Any] | None) -> None:
        found = EpisodeIndex.read(self.folder)
        _checked_files(self.folder, found, "refuse")
        kept = {name for name, stored in found.fields.items() if stored.final}
        if found.fields and kept != self._final & set(found.fields):
            raise DataError(
                f"{self.folder} keeps a last row of {', '.join(sorted(kept)) or 'no field'}, and is gone on with as if it did "
                f"of {', '.join(sorted(self._final)) or 'none'}: write into a new folder."
            )
        if about is not None and found.about != dict(about):
            raise DataError(f"{self.folder} holds episodes of {found.about}, not of {dict(about)}: write into a new folder.")
        found.labels = found.labels or [{} for _ in found.lengths]
        self.index = found
        for name in found.fields:
            self._files[name] = open(self.folder / f"{name}.bin", "r+b", buffering=0)  # noqa: SIM115 (closed in close)
        self._trim()

    def __len__(self) -> int:
        return len(self.index.lengths)

    @property
    def steps(self) -> int:
        """Steps of all episodes."""
        return sum(self.index.lengths)

    def add(self, episode: Mapping[str, NDArray[Any]], label: Mapping[str, Any] | None = None) -> None:
        """Append an episode; every array is [step, ...], those of `final` fields with one row more. label: plain JSON.

        Raises DataError when fields, shapes or lengths do not fit those before, EnvironmentFault for a full disk, which leaves
        the episodes before as they were.
        """
        rows = {name: len(values) - (name in self._final) for name, values in episode.items()}
        described = {n: StoredField(v.shape[1:], v.dtype, n in self._final) for n, v in episode.items()}
        if len(set(rows.values())) != 1 or min(rows.values()) < 0:
            raise DataError(f"An episode's fields have different numbers of steps: {sorted(set(rows.values()))}.")
        if self.index.fields and described != self.index.fields:
            before = {name: stored.plain() for name, stored in self.index.fields.items()}
            found = {name: stored.plain() for name, stored in described.items()}
            raise DataError(f"Episode {len(self)} has the fields {found}; those before have {before}.")
        self.index.fields = described
        try:
            for name, values in episode.items():
                if name not in self._files:
                    self._files[name] = open(self.folder / f"{name}.bin", "w+b", buffering=0)  # noqa: SIM115 (closed in close)
                _write_all(self._files[name], np.ascontiguousarray(values).tobytes())
        except OSError as error:
            self._trim()
            raise self._fault(error) from error
        self.index.lengths.append(next(iter(rows.values())))
        self.index.labels.append(dict(label or {}))
        self._unsafe = True
        if self._grow and time.monotonic() - self._committed > self._patience:
            self.commit()

    def _fault(self, error: OSError) -> EnvironmentFault:
        return EnvironmentFault(
            f"{self.folder} can't be written: {error.strerror}. The {len(self)} episodes before are whole; make room and go on."
        )

    def _trim(self) -> None:
        """Cut off what is behind the last episode, so that the next one begins there."""
        lengths = np.array(self.index.lengths, np.int64)
        for name, file in self._files.items():
            stored = self.index.fields[name]
            file.truncate(stored.rows(lengths) * stored.row)
            file.seek(0, os.SEEK_END)

    def cut(self, episodes: int) -> None:
        """Forget what was written behind the first episodes, for good."""
        self.index.cut(episodes)
        self._unsafe = True
        self.commit()
        self._trim()

    def commit(self) -> None:
        """Make all episodes so far safe: they are there after a kill and after a loss of power.

        Raises EnvironmentFault for a full disk.
        """
        begun = time.monotonic()
        if self._unsafe or not (self.folder / INDEX).exists():
            try:
                for file in self._files.values():
                    os.fsync(file.fileno())
            except OSError as error:
                raise self._fault(error) from error
            write_whole(self.folder / INDEX, self.index.text())
        self._unsafe, self._committed = False, time.monotonic()
        self._patience = max(COMMIT_S, 50 * (self._committed - begun))

    def close(self) -> None:
        """Write the index, without which a new folder holds no episodes, and close the files."""
        if self._open:
            self.commit()
            self._open = False
            for file in self._files.values():
                file.close()

    def __enter__(self) -> EpisodeWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _write_all(file: IO[bytes], content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[file.write(view) :]


class EpisodeStore:
    """The episodes of a folder, mapped, not read; rows behind the last counted episode are left alone.

    lengths, offsets: steps of each episode, and where each begins, int64[episodes (+ 1)]. fields: the rows of all episodes,
    [row, ...]. final: fields with one row more per episode. about, labels: what was kept with them. lost: episodes that were
    left out because the files end before them, with cut "skip".
    Raises DataError when the folder holds none or, unless they are to be skipped, its files are shorter than announced.
    """

    def __init__(self, folder: Path, cut: Literal["refuse", "skip"] = "refuse") -> None:
        index = EpisodeIndex.read(folder)
        self.lost = _checked_files(folder, index, cut)
        self._hold(folder, index)

    @classmethod
    def growing(cls, writer: EpisodeWriter) -> EpisodeStore:
        """Return what a writer has written so far, safe on disk or not."""
        store = cls.__new__(cls)
        store.lost = 0
        store._hold(writer.folder, writer.index)
        return store

    def _hold(self, folder: Path, index: EpisodeIndex) -> None:
        self.folder = folder
        self.about: Mapping[str, Any] = index.about
        self.lengths = np.array(index.lengths, np.int64)
        self.labels: list[dict[str, Any]] = list(index.labels) or [{} for _ in index.lengths]
        self.offsets: NDArray[np.int64] = np.concatenate([np.zeros(1, np.int64), np.cumsum(self.lengths)])
        self.final = frozenset(name for name, stored in index.fields.items() if stored.final)
        self.fields = {name: self._map(name, stored) for name, stored in index.fields.items()}
        # The same memory without the class of a map, whose indexing costs as much as a small gather.
        self._plain = {name: np.asarray(values) for name, values in self.fields.items()}

    def _map(self, name: str, stored: StoredField) -> NDArray[Any]:
        path = self.folder / f"{name}.bin"
        shape = (stored.rows(self.lengths), *stored.shape)
        if not math.prod(shape) * stored.dtype.itemsize:
            return np.zeros(shape, stored.dtype)
        return np.memmap(path, dtype=stored.dtype, mode="r", shape=shape)

    def __len__(self) -> int:
        return len(self.lengths)

    def episode_of(self, steps: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of the episode that each absolute step lies in."""
        return np.searchsorted(self.offsets, steps, side="right").astype(np.int64) - 1

    def take(self, name: str, steps: NDArray[np.int64], after: int = 0) -> NDArray[Any]:
        """Return a field's rows at absolute steps of any shape, in one gather. after: 1 for the rows behind them.

        Raises DataError for rows behind steps of a field without a last row, since those of an episode's end are not kept.
        """
        if name in self.final:
            steps = steps + self.episode_of(steps)
        elif after:
            raise DataError(f"{self.folder} does not hold what {name} are after an episode's last step.")
        return self._plain[name].take(steps + after if after else steps, axis=0)

    def episode(self, number: int) -> dict[str, NDArray[Any]]:
        """Return the fields of one episode, [step, ...], those of `final` with one row more."""
        begin, end = int(self.offsets[number]), int(self.offsets[number + 1])
        kept = {name: (number, number + 1) if name in self.final else (0, 0) for name in self.fields}
        return {name: values[begin + kept[name][0] : end + kept[name][1]] for name, values in self.fields.items()}

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
