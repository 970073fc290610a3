"""Class-incremental tasks: which classes each task has, and which samples (as continuum's ClassIncremental)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnitrain.errors import DataError, UsageError

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Task:
    """One task. classes: its original labels in the order of the new ones. first: its lowest new label."""

    classes: tuple[int, ...]
    first: int

    @property
    def stop(self) -> int:
        """One more than its highest new label."""
        return self.first + len(self.classes)


def task_sizes(classes: int, increment: int, initial: int = 0, smaller_last: bool = False) -> list[int]:
    """Return the number of classes of each task.

    initial: classes of the first task, 0 for `increment`. smaller_last: allow a last task with fewer classes.
    Raises UsageError when the classes do not divide and smaller_last is false.
    """
    first = initial or increment
    if first > classes:
        raise UsageError(f"The first task would have {first} classes, but there are only {classes}; lower classes_per_task.")
    rest = classes - first
    full, left = divmod(rest, increment)
    if left and not smaller_last:
        raise UsageError(
            f"{classes} classes do not divide into a first task of {first} and tasks of {increment}: {left} are left over. "
            "Choose another classes_per_task or set smaller_last_task: true."
        )
    return [first, *[increment] * full, *([left] if left else [])]


def check_class_order(order: Sequence[int], classes: Sequence[int], where: str = "class_order") -> None:
    """Refuse an order that does not hold every class exactly once.

    Raises UsageError that names a class which occurs twice (in two tasks, then), is unknown or is missing.
    """
    seen: set[int] = set()
    for position, label in enumerate(order):
        if label in seen:
            raise UsageError(
                f"{where}[{position}]: class {label} occurs twice, so it would belong to two tasks; name each class once."
            )
        seen.add(label)
    unknown = sorted(seen - set(classes))
    if unknown:
        raise UsageError(f"{where}: class {unknown[0]} is not in the data, whose labels are {_span(classes)}.")
    missing = sorted(set(classes) - seen)
    if missing:
        raise UsageError(f"{where}: class {missing[0]} is missing; the data has {len(classes)} classes, the order {len(seen)}.")


def _span(classes: Sequence[int]) -> str:
    ordered = sorted(classes)
    return f"{ordered[0]} to {ordered[-1]}" if ordered else "none"


class Scenario:
    """The tasks over a data set's classes. order[i] is the ORIGINAL label that becomes new label i."""

    def __init__(self, order: Sequence[int], sizes: Sequence[int]) -> None:
        self.order = tuple(int(label) for label in order)
        edges = np.concatenate([[0], np.cumsum(sizes)])
        self.tasks = tuple(Task(self.order[a:b], int(a)) for a, b in itertools.pairwise(edges))
        self._new = {label: new for new, label in enumerate(self.order)}

    @property
    def sizes(self) -> list[int]:
        """The number of classes of each task."""
        return [len(task.classes) for task in self.tasks]

    def new_labels(self, labels: Sequence[int] | Ints) -> Ints:
        """Return the new labels int64[samples] of original ones; -1 for a class of no task."""
        return np.array([self._new.get(int(label), -1) for label in labels], np.int64)

    def rows(self, new_labels: Ints, task: int) -> Ints:
        """Return the sample numbers int64 of a task, ascending."""
        chosen = self.tasks[task]
        return np.flatnonzero((new_labels >= chosen.first) & (new_labels < chosen.stop))

    def seen_rows(self, new_labels: Ints, task: int) -> Ints:
        """Return the sample numbers int64 of all tasks up to one, ascending: its test set."""
        return np.flatnonzero((new_labels >= 0) & (new_labels < self.tasks[task].stop))

    def check_filled(self, new_labels: Ints, split: str) -> None:
        """Refuse tasks or classes without samples.

        Raises DataError that names the first of them.
        """
        counts = np.bincount(new_labels[new_labels >= 0], minlength=len(self.order))
        for number, task in enumerate(self.tasks, 1):
            found = counts[task.first : task.stop]
            if not found.sum():
                names = ", ".join(map(str, task.classes[:8]))
                raise DataError(f"Task {number} is empty: split {split!r} has no sample of its classes {names}.")
            if not found.all():
                label = task.classes[int(np.flatnonzero(found == 0)[0])]
                raise DataError(f"Task {number}: split {split!r} has no sample of class {label}.")


def class_incremental(
    labels: Sequence[int], order: Sequence[int] | None, increment: int, initial: int = 0, smaller_last: bool = False
) -> Scenario:
    """Make the scenario over the labels of a data set; without an order the sorted labels are taken as they are.

    Raises UsageError for an order or sizes that do not fit the labels.
    """
    present = sorted({int(label) for label in labels})
    chosen = list(order) if order is not None else present
    check_class_order(chosen, present)
    return Scenario(chosen, task_sizes(len(chosen), increment, initial, smaller_last))


def validation_split(labels: Sequence[int], ratio: float, seed: int = 42) -> tuple[Ints, Ints]:
    """Return (train rows, validation rows): per class, in sorted order, the first int(ratio * n) of shuffled rows validate.

    The generator is numpy's RandomState(seed), as in the official code.
    """
    random = np.random.RandomState(seed)
    found = np.asarray(labels)
    kept, held = [], []
    for label in np.unique(found):
        rows = np.flatnonzero(found == label)
        random.shuffle(rows)
        cut = int(ratio * len(rows))
        held.append(rows[:cut])
        kept.append(rows[cut:])
    return np.sort(np.concatenate(kept)), np.sort(np.concatenate(held))
