"""Noise runs of a mixed batch in flat arrays, one row behind the other: nothing is padded to the row with most spans.

Rows of different denoisers differ up to a hundredfold in their number of spans, so that matrices [rows, most spans]
would be mostly empty.
"""

import numpy as np

from omnitrain_ul2.paper.sentinels import Side
from omnitrain_ul2.paper.spans import Ints, Mask


def draw_runs(items: Ints, parts: Ints, generator: np.random.Generator) -> Ints:
    """Lengths of the segments of all rows, int64[sum of parts]: every composition of a row is equally likely.

    items, parts: int64[rows], 1 <= parts <= items, or both 0 for a row without any.
    """
    edges = np.cumsum(items)
    last = np.zeros(int(edges[-1]), bool)
    free, cuts = np.maximum(items - 1, 0), np.maximum(parts - 1, 0)
    # Where most places are cuts, the few that are not are drawn.
    dense = 2 * cuts > free
    inverted = bool(dense.any())
    if inverted:
        cuts = np.where(dense, free - cuts, cuts)
    _mark(last, np.repeat(edges - items, cuts), np.repeat(free, cuts), generator)
    if inverted:
        last ^= np.repeat(dense, items)
    # The edge of a row without items is the row's before (or the last of all): true in any case.
    last[edges - 1] = True
    return np.diff(np.flatnonzero(last), prepend=-1)


def _mark(marks: Mask, starts: Ints, sizes: Ints, generator: np.random.Generator) -> None:
    """Set one false entry of marks[start : start + size] to true for each (start, size), uniformly, in place.

    A draw that meets an entry that is set already, or the draw of another, is repeated. So each row is drawn from
    until enough different entries are found, which makes all choices equally likely.
    """
    owner = np.empty(len(marks), np.int32)
    while len(starts):
        place = starts + (generator.random(len(starts)) * sizes).astype(np.int64)
        number = np.arange(len(place), dtype=np.int32)
        owner[place] = number
        again = np.flatnonzero(marks[place] | (owner[place] != number))
        marks[place] = True
        starts, sizes = starts[again], sizes[again]


def draw_sides(kept: Ints, noise: Ints, parts: Ints, generator: np.random.Generator) -> tuple[Side, Side]:
    """Inputs and targets of a batch with random spans.

    kept, noise: int64[rows], tokens of each kind. parts: int64[rows], spans, each with a sentinel; 0 for rows that are
    split once, without sentinels.
    """
    marked = parts > 0
    if not marked.any():
        none = np.empty(0, np.int64)
        return Side(np.zeros_like(kept), kept, none, none, none, none), Side(kept, noise, none, none, none, none)
    both = np.concatenate([kept * marked, noise * marked])
    runs = draw_runs(both, np.concatenate([parts, parts]), generator)
    before = np.cumsum(runs)
    row = np.repeat(np.arange(len(parts)), parts)
    number = np.arange(len(row)) - (np.cumsum(parts) - parts)[row]
    base = np.cumsum(both) - both
    kept_runs, noise_runs = runs[: len(row)], runs[len(row) :]
    # Sentinel j of the inputs stands after kept run j; that of the targets before noise run j.
    into_inputs = before[: len(row)] - base[: len(parts)][row] + number
    into_targets = before[len(row) :] - noise_runs - base[len(parts) :][row] + number
    inputs = Side(np.zeros_like(kept), kept + parts, row, into_inputs, noise_runs, number)
    return inputs, Side(np.where(marked, 0, kept), noise + parts, row, into_targets, kept_runs, number)
