"""Datasets of Minari, read through the library itself, so that each of its formats and spaces is read as it means it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from omnitrain.api import reading
from omnitrain.errors import EnvironmentFault
from omnitrain_control.listing import data_folder
from omnitrain_control.readers.arrays import single_episode
from omnitrain_control.readers.rules import Found, ReadingRules


def _leaves(name: str, value: Any) -> dict[str, Any]:
    """Return arrays of a dictionary or tuple of arrays by joined names."""
    if isinstance(value, dict):
        return {key: leaf for part, inner in value.items() for key, leaf in _leaves(f"{name}/{part}", inner).items()}
    if isinstance(value, tuple):
        return _leaves(name, {str(number): inner for number, inner in enumerate(value)})
    return {name: np.asarray(value)}


def minari_episodes(path: Path, rules: ReadingRules) -> Iterator[Found]:
    """Yield the episodes of a dataset; observations have one row more than there are steps.

    Raises EnvironmentFault without the library, DataError for a folder that it can't read.
    """
    try:
        from minari import MinariDataset
    except ImportError as error:
        raise EnvironmentFault(f"{path} needs minari: pip install 'omnitrain-control[minari]'") from error
    with reading(path, "a dataset of Minari"):
        dataset = MinariDataset(data_folder(path))
        for episode in dataset.iterate_episodes():
            raw: dict[str, Any] = {
                **_leaves("observations", episode.observations), **_leaves("actions", episode.actions),
                "rewards": episode.rewards, "terminations": episode.terminations, "truncations": episode.truncations,
            }  # fmt: skip
            yield single_episode(raw, rules, f"{path}:{episode.id}")
