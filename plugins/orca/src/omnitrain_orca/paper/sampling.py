"""Which queries of which task are sampled (section 3.1, table 3, Algorithm 1)."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Collection = Literal["cot", "niv", "t0", "flan"]
COLLECTIONS: tuple[Collection, ...] = ("cot", "niv", "t0", "flan")
"""CoT, Natural Instructions v2, T0 and Flan 2021. Dialog is left out: its queries lack context."""
ZERO_SHOT = ("zs_opt", "zs_noopt")
FEW_SHOT = ("fs_opt", "fs_noopt")
_BIG_BENCH = re.compile(r"big[\s_-]*bench", re.IGNORECASE)


def is_big_bench(task: str) -> bool:
    """Tell whether a task of T0 is from BIG-bench, which is an exam here."""
    return _BIG_BENCH.search(task) is not None


def draw_tasks(sizes: Sequence[int], count: int, uniforms: Iterator[float]) -> NDArray[np.int32]:
    """Return the task of each drawn query, int32[draws]: Algorithm 1.

    A task is drawn uniformly from those that are left; one that is found empty is left out from then on, and that draw is
    lost, which changes no probability. It ends with `count` queries, or when all tasks are empty. sizes: queries of each task.
    uniforms: numbers in [0, 1).
    """
    left, remaining = list(sizes), list(range(len(sizes)))
    drawn = array("i")
    while len(drawn) < count and remaining:
        place = int(next(uniforms) * len(remaining))
        task = remaining[place]
        if left[task]:
            left[task] -= 1
            drawn.append(task)
        else:
            del remaining[place]
    return np.frombuffer(drawn, np.int32) if drawn else np.zeros(0, np.int32)


def drawn_places(tasks: NDArray[np.int32], sizes: Sequence[int]) -> NDArray[np.int64]:
    """Return the place of each drawn query in its task's order, int64[draws]: the last one that is not used yet.

    tasks: as `draw_tasks` returns them for these sizes.
    """
    order = np.argsort(tasks, kind="stable")
    counts = np.bincount(tasks, minlength=len(sizes))
    starts = np.cumsum(counts) - counts
    turns = np.empty(len(tasks), np.int64)
    turns[order] = np.arange(len(tasks)) - np.repeat(starts, counts)
    return np.asarray(sizes, np.int64)[tasks] - 1 - turns
