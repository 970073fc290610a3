"""Which files a path of trajectories names; light, since settings ask it which libraries they need."""

from __future__ import annotations

import re
from pathlib import Path

from omnitrain.api import user_path
from omnitrain.errors import DataError

HDF5 = (".hdf5", ".h5", ".hdf")
PICKLES = (".pkl", ".pickle")
SUFFIXES = (".npz", *HDF5, *PICKLES)
METADATA = "metadata.json"
INDEX = "episodes.json"


def data_folder(path: Path) -> Path:
    """Return the folder of a Minari dataset that holds its files."""
    return path / "data" if (path / "data" / METADATA).is_file() else path


def is_minari(path: Path) -> bool:
    """Whether a folder is a dataset of Minari, or the folder "data" of one."""
    return path.is_dir() and (data_folder(path) / METADATA).is_file()


def named_places(path: str) -> list[Path]:
    """Return what a path names: a file, a folder, or what a pattern names, sorted; nothing where it is not there."""
    place = user_path(path)
    if place.exists():
        return [place]
    return sorted(Path(place.anchor or ".").glob(str(place).removeprefix(place.anchor)), key=natural)


def store_folders(path: str) -> list[Path]:
    """Return the folders of episodes that a path names, or those in them where there is one for each width; else nothing."""
    found: list[Path] = []
    for place in named_places(path):
        inner = [place] if (place / INDEX).is_file() else sorted(index.parent for index in place.glob(f"*/{INDEX}"))
        found += inner
    return found


def natural(path: Path) -> list[tuple[int, str]]:
    """Return what files are sorted by: 2 is before 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path)) if part]


def trajectory_files(path: str) -> list[Path]:
    """Return the files and Minari folders of a path: one file, those below a folder, or what a pattern names, sorted.

    Raises DataError where there is none.
    """
    found: list[Path] = []
    for one in named_places(path):
        if one.is_file() or is_minari(one):
            found.append(one)
        else:
            inner = (file for file in one.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
            found += [file for file in inner if not any(p.startswith(".") for p in file.relative_to(one).parts)]
    if not found:
        raise DataError(f"{path} holds no trajectories; expected {', '.join(SUFFIXES)}, a folder of them, or a Minari dataset.")
    return sorted(found, key=natural)


def needed_libraries(path: str) -> dict[str, str]:
    """Return what installs the libraries that the files of a path are read with; nothing for what is not there yet."""
    try:
        files = trajectory_files(path)
    except DataError:
        files = []
    found = {}
    if any(file.suffix.lower() in HDF5 for file in files):
        found["h5py"] = "omnitrain-control[hdf5]"
    if any(is_minari(file) for file in files):
        found["minari"] = "omnitrain-control[minari]"
    return found
