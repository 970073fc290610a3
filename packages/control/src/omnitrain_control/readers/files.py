"""Files of trajectories: .npz, .hdf5, pickles of arrays, folders of them, and datasets of Minari."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from omnitrain.api import reading
from omnitrain.errors import DataError, EnvironmentFault
from omnitrain_control.listing import PICKLES, SUFFIXES, is_minari, natural, trajectory_files
from omnitrain_control.problems import Problems
from omnitrain_control.readers.arrays import flat_episodes, plain_label, single_episode
from omnitrain_control.readers.minari import minari_episodes
from omnitrain_control.readers.pickles import read_pickle
from omnitrain_control.readers.rules import NAMES, Found, Raw, ReadingRules

LENGTHS = "episode_lengths.json"
MAPPED = 1 << 26  # bytes of an array from which on it is unpacked to disk and mapped


class _Npz(Mapping[str, Any]):
    """The arrays of an .npz, each read when it is asked for; large ones are mapped from a folder that they are unpacked to."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, scratch: Path) -> None:
        self._path, self._archive, self._scratch = path, archive, scratch
        self._members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}

    def __getitem__(self, name: str) -> Any:
        info = self._members[name]
        with reading(f"{self._path}: {name}", "an array"):
            if info.file_size < MAPPED:
                with self._archive.open(info) as member:
                    return np.lib.format.read_array(member, allow_pickle=False)
            target = self._scratch / "member.npy"
            target.unlink(missing_ok=True)  # what is mapped from an earlier one stays mapped
            with self._archive.open(info) as member, target.open("wb") as file:
                while block := member.read(1 << 24):
                    file.write(block)
            return np.load(target, mmap_mode="r", allow_pickle=False)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)


@contextmanager
def _npz(path: Path, scratch: Path) -> Iterator[Raw]:
    with reading(path, "an .npz archive"), zipfile.ZipFile(path) as archive:
        yield _Npz(path, archive, scratch)


@contextmanager
def _hdf5(path: Path) -> Iterator[Any]:
    try:
        import h5py
    except ImportError as error:
        raise EnvironmentFault(f"{path} needs h5py: pip install 'omnitrain-control[hdf5]'") from error
    with reading(path, "an HDF5 file"), h5py.File(path, "r") as file:
        yield file


def _arrays(group: Any, prefix: str = "") -> dict[str, Any]:
    """Return the data sets of a group and of those in it; names are joined by "/"."""
    found: dict[str, Any] = {}
    for name, item in group.items():
        found.update(_arrays(item, f"{prefix}{name}/") if hasattr(item, "items") else {f"{prefix}{name}": item})
    return found


def _groups(group: Any) -> list[tuple[str, Any]]:
    """Return the innermost groups that hold actions, by name: each is one trajectory."""
    found = []
    for name in sorted(group, key=lambda text: natural(Path(text))):
        item = group[name]
        if not hasattr(item, "items"):
            continue
        if any(alias in item for alias in NAMES["actions"]):
            found.append((item.name.strip("/"), item))
        else:
            found += _groups(item)
    return found


def _of_arrays(raw: Raw, rules: ReadingRules, where: str, problems: Problems) -> Iterator[Found]:
    if rules.layout == "episodes":
        yield single_episode(raw, rules, where)
    else:
        yield from flat_episodes(raw, rules, where, problems)


def held_trajectories(content: Any, rules: ReadingRules, where: str, problems: Problems) -> Iterator[Found]:
    """Yield what an object holds: a list or dictionary of trajectories (dictionaries of arrays), or flat arrays.

    Raises DataError for anything else, and for arrays that can't be understood.
    """
    parts = content if isinstance(content, list) else list(content.values()) if isinstance(content, dict) else []
    if parts and all(isinstance(part, dict) for part in parts):
        for number, part in enumerate(parts):
            yield single_episode({n: np.asarray(v) for n, v in part.items()}, rules, f"{where}:{number}")
    elif isinstance(content, dict):
        yield from _of_arrays({n: np.asarray(v) for n, v in content.items()}, rules, where, problems)
    else:
        raise DataError(f"{where} holds a {type(content).__name__}; expected a list of trajectories or a dictionary of arrays.")


def _of_hdf5(file: Any, rules: ReadingRules, where: str, problems: Problems) -> Iterator[Found]:
    groups = [] if any(alias in file for alias in NAMES["actions"]) else _groups(file)
    for name, group in groups:
        found = single_episode(_arrays(group), rules, f"{where}:{name}")
        found.label.update(plain_label(group.attrs))
        yield found
    if not groups:
        yield from _of_arrays(_arrays(file), rules, where, problems)


def _lengths(folder: Path) -> dict[str, int]:
    """Return the steps of each file of a folder that says them, by stem; such files are one trajectory each."""
    path = folder / LENGTHS
    if not path.is_file():
        return {}
    with reading(path, "lengths by file name"):
        return {str(stem): int(length) for stem, length in json.loads(path.read_text("utf-8")).items()}


def read_trajectories(path: str, rules: ReadingRules, scratch: Path, problems: Problems) -> Iterator[Found]:
    """Yield the trajectories of a path, file by file; their label tells the file, as "source", without its suffix.

    scratch: a folder for large arrays of archives. Raises DataError for a file that can't be read, EnvironmentFault where a
    library for it is not installed.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    lengths: dict[Path, dict[str, int]] = {}
    for file in trajectory_files(path):
        known = lengths.setdefault(file.parent, _lengths(file.parent))
        # What a table of lengths lists is one trajectory a file.
        own = ReadingRules(**{**vars(rules), "layout": "episodes"}) if known and rules.layout == "auto" else rules
        for found in _of_file(file, own, scratch, problems):
            found.label.setdefault("source", file.stem)
            steps = len(found.episode["actions"])
            if known and known.get(file.stem, steps) != steps:
                found.faults.append((f"trajectories of other lengths than {LENGTHS} says", f"{steps}, not {known[file.stem]}"))
            yield found


def _of_file(file: Path, rules: ReadingRules, scratch: Path, problems: Problems) -> Iterator[Found]:
    where, suffix = str(file), file.suffix.lower()
    if is_minari(file):
        yield from minari_episodes(file, rules)
    elif suffix in PICKLES:
        yield from held_trajectories(read_pickle(file), rules, where, problems)
    elif suffix in SUFFIXES:
        opened: AbstractContextManager[Any] = _npz(file, scratch) if suffix == ".npz" else _hdf5(file)
        with opened as raw:
            read = _of_arrays if suffix == ".npz" else _of_hdf5
            with reading(file, "trajectories"):
                yield from read(raw, rules, where, problems)
    else:
        raise DataError(f"{file} has the suffix {suffix!r}; expected {', '.join(SUFFIXES)}.")
