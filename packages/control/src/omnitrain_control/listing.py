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
            found += _below(one)
    if not found:
        raise DataError(f"{path} holds no trajectories; expected {', '.join(SUFFIXES)}, a folder of them, or a Minari dataset.")
    return sorted(found, key=natural)


def _below(folder: Path) -> list[Path]:
    """Return the datasets of Minari and the files below a folder that are in none of those; hidden ones are left out."""
    shown = [path for path in folder.rglob("*") if not any(p.startswith(".") for p in path.relative_to(folder).parts)]
    datasets = [path.parent for path in shown if path.name == METADATA]
    files = (path for path in shown if path.suffix.lower() in SUFFIXES and path.is_file())
    # "data" of a dataset is named by the dataset: its name is what a label tells.
    sets = {path.parent if path.name == "data" and path.parent != folder else path for path in datasets}
    return [*sets, *(file for file in files if not any(dataset in file.parents for dataset in datasets))]


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
