"""Trajectories of files into stores: each is checked, broken ones are refused or left out with a count."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from omnitrain.api import reading
from omnitrain.errors import DataError
from omnitrain_control.episodes import EpisodeIndex, EpisodeWriter
from omnitrain_control.listing import INDEX
from omnitrain_control.problems import Problems
from omnitrain_control.readers.arrays import TrajectoryProblems
from omnitrain_control.readers.files import held_trajectories, read_trajectories
from omnitrain_control.readers.rules import Episode, Found, ReadingRules, faults

SHORT = "trajectories shorter than min_steps"
MOST_STORES = 64
ALIKE = ("rewards", "terminals")  # all trajectories have them or none; what else only some have is not in the set
LEFT_OUT = "left-out.txt"
log = logging.getLogger(__name__)


class TrajectoryWriter:
    """Writes episodes of several widths and types: into one store each, folders "00", "01", ... Use as a context manager.

    Episodes with one row of observations more than steps are kept so, in a store of their own. grow: see `EpisodeWriter`.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any] | None = None, *, grow: bool = False) -> None:
        self._folder, self._about, self._grow = folder, about, grow
        self._stores: dict[Any, EpisodeWriter] = {}
        for index in sorted(folder.glob(f"*/{INDEX}")) if grow else ():
            fields = EpisodeIndex.read(index.parent).fields
            final = tuple(name for name, stored in fields.items() if stored.final)
            kind = (bool(final), *((name, stored.shape, stored.dtype.str) for name, stored in sorted(fields.items())))
            self._stores[kind] = EpisodeWriter(index.parent, about, final=final, grow=True)

    def add(self, episode: Mapping[str, NDArray[Any]], label: Mapping[str, Any] | None = None) -> None:
        """Append an episode.

        Raises DataError for one of a kind that would be the 65th.
        """
        final = len(episode["observations"]) > len(episode["actions"])
        kind = (final, *((name, values.shape[1:], values.dtype.str) for name, values in sorted(episode.items())))
        if kind not in self._stores:
            if len(self._stores) == MOST_STORES:
                raise DataError(
                    f"{self._folder} would hold trajectories of more than {MOST_STORES} widths; expected a few: bring them to "
                    "a common width."
                )
            place = self._folder / f"{len(self._stores):02d}"
            kept = ("observations",) if final else ()
            self._stores[kind] = EpisodeWriter(place, self._about, final=kept, grow=self._grow)
        self._stores[kind].add(episode, label)

    def __enter__(self) -> TrajectoryWriter:
        return self

    def __exit__(self, *problem: object) -> None:
        for store in self._stores.values():
            store.close()


def check_episode(found: Found, first: Episode | None, rules: ReadingRules, problems: Problems) -> bool:
    """Return whether an episode is to be kept. first: the first one that was, whose fields it must have.

    Raises DataError that names a broken one, where those are not skipped.
    """
    wrong = faults(found.episode, rules) or found.faults
    apart = [] if first is None else [name for name in ALIKE if (name in first) != (name in found.episode)]
    if apart and not wrong:
        wrong = [("trajectories with other fields than the first", ", ".join(apart))]
    for kind, detail in wrong[:1]:
        if rules.broken == "refuse":
            raise DataError(f"{found.place} is one of the {kind} ({detail}): mend it, or leave such out by broken: skip.")
        problems.add(kind, f"{found.place} ({detail})")
    if not wrong and len(found.episode["actions"]) < rules.min_steps:
        problems.add(SHORT, f"{found.place}, {len(found.episode['actions'])} steps")
        return False
    return not wrong


def sound(trajectories: Iterable[Found], rules: ReadingRules, problems: Problems) -> Iterable[Found]:
    """Yield the trajectories that are kept.

    Raises DataError that names a broken one, where those are not skipped, and where none is left.
    """
    first: Episode | None = None
    seen = 0
    for found in trajectories:
        seen += 1
        if check_episode(found, first, rules, problems):
            first = first or found.episode
            yield found
    if first is None:
        raise DataError(f"None of {seen} trajectories can be used: {problems.summary() or 'there is none'}.")


def import_trajectories(path: str, folder: Path, rules: ReadingRules) -> Problems:
    """Write the trajectories of a path into stores below a folder; say what was left out, and return it.

    Raises DataError for files that can't be read, for a broken trajectory unless those are skipped, and where none is left.
    """
    problems, scratch = TrajectoryProblems(), folder / "scratch"
    try:
        _write(read_trajectories(path, rules, scratch, problems), folder, path, rules, problems)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return problems


def import_arrays(content: Any, folder: Path, rules: ReadingRules, name: str = "arrays") -> Problems:
    """Write trajectories that are in memory into stores below a folder, as `import_trajectories` does those of files.

    content: a dictionary of flat arrays (D4RL's, those of a buffer of Stable-Baselines3), or a list of dictionaries with the
    arrays of one trajectory each. name: for messages.
    """
    problems = TrajectoryProblems()
    with reading(name, "trajectories"):
        _write(held_trajectories(content, rules, name, problems), folder, name, rules, problems)
    return problems


def _write(trajectories: Iterable[Found], folder: Path, path: str, rules: ReadingRules, problems: Problems) -> None:
    with TrajectoryWriter(folder, {"source": path}) as writer:
        for one in sound(trajectories, rules, problems):
            writer.add(one.episode, one.label)
    (folder / LEFT_OUT).write_text(problems.summary(), "utf-8")
    if problems.counts:
        log.warning("%s: told or left out: %s", path, problems.summary())
