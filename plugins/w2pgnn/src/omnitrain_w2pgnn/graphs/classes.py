"""Labels as classes: whole numbers and names are classes, measured values are none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from omnitrain_w2pgnn.graphs.faults import Faults
from omnitrain_w2pgnn.graphs.fields import MISSING, measured, whole
from omnitrain_w2pgnn.graphs.structure import Ints


def classes_of_texts(values: Sequence[str], where: str, faults: Faults) -> Ints | None:
    """Return classes from 0 in the order of whole numbers or names, -1 where a label is missing.

    None where labels are measured values: to cut these to whole numbers would make classes of them. That is said.
    """
    known = sorted({v for v in values if v not in MISSING})
    if len(known) < len(set(values)):
        faults.say(f"{where}: {sum(v in MISSING for v in values)} of {len(values)} labels are missing, which is no class")
    numbers = {v: whole(v) for v in known}
    keys: dict[str, int | str]
    if all(n is not None for n in numbers.values()):
        keys = {v: n for v, n in numbers.items() if n is not None}
    elif all(measured(v) for v in known):
        faults.say(f"{where}: the labels are measured values such as {_example(known)}, which are no classes; taken as none")
        return None
    else:
        keys = {v: v for v in known}
        faults.say(f"{where}: the labels are names, classes in alphabetical order: {_listed(known)}")
    place = {key: i for i, key in enumerate(sorted(set(keys.values())))}
    return np.array([place[keys[v]] if v in keys else -1 for v in values], np.int64)


def classes_of_numbers(values: np.ndarray, where: str, faults: Faults) -> Ints | None:
    """Return the same for an array of numbers; NaN is a missing label."""
    if values.dtype.kind not in "buif":
        faults.say(f"{where}: labels of type {values.dtype} are no classes; taken as none")
        return None
    if values.dtype.kind != "f":
        return _numbered(values.astype(np.int64), where, faults)
    known = values[np.isfinite(values)]
    if not len(known) or bool((known != np.round(known)).any()) or bool((np.abs(known) > 2**53).any()):
        shown = float(known[known != np.round(known)][0]) if len(known) and bool((known != np.round(known)).any()) else "NaN"
        faults.say(f"{where}: the labels are measured values such as {shown}, which are no classes; taken as none")
        return None
    missing = ~np.isfinite(values)
    if missing.any():
        faults.say(f"{where}: {int(missing.sum())} of {len(values)} labels are missing, which is no class")
    classes = np.where(missing, -1, np.unique(np.where(missing, known[0], values), return_inverse=True)[1])
    faults.say(f"{where}: labels of type {values.dtype} are whole numbers, taken as {len(np.unique(known))} classes")
    return np.asarray(classes, np.int64)


def _numbered(values: Ints, where: str, faults: Faults) -> Ints:
    if len(values) and int(values.min()) < 0:
        found, classes = np.unique(values, return_inverse=True)
        faults.say(f"{where}: the labels {_listed([str(v) for v in found])} are taken as classes 0 to {len(found) - 1}")
        return np.asarray(classes, np.int64)
    return values


def _example(values: Sequence[str]) -> str:
    return next(v for v in values if whole(v) is None)[:40]


def _listed(values: Sequence[str]) -> str:
    return ", ".join(v[:40] for v in values[:6]) + (", ..." if len(values) > 6 else "")
