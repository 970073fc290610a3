"""Where an exam's files lie: at a user's path, or beside this module."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

from omnitrain.api import user_path
from omnitrain_orca.configs.evaluators import BUILTIN


def exam_path(path: str, name: str = "") -> Path:
    """Return the folder or file of a path. name: of the built-in file, where it is one."""
    if path != BUILTIN:
        return user_path(path)
    with as_file(files(__package__) / "samples") as folder:
        return folder / name
