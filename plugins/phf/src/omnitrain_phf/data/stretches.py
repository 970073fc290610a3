"""Stretches of text in the rows of any token batch: where they are, their segments' scores, control tokens before them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Decode = Callable[[Sequence[int]], str]


@dataclass(frozen=True)
class Stretch:
    """Labels [begin, end) of a row that are one text. opens: its first position with the special tokens in front of it.

    closes: its end with the special tokens behind it that belong to no other stretch.
    """

    opens: int
    begin: int
    end: int
    closes: int


def stretches(labels: Ints, counted: NDArray[np.bool_], parts: Ints, special: NDArray[np.bool_]) -> list[Stretch]:
    """Return the stretches of a row: labels that count, cut where a special token stands or another part begins.

    labels, parts: int64[length]; counted: has loss; special: by id. Special tokens belong to the stretch behind them, as EOS
    and control tokens have the score of the segment that they open, and at the end of a part to the one before.
    """
    found: list[Stretch] = []
    edges = np.flatnonzero(np.diff(counted.astype(np.int8)) | np.diff(parts)) + 1
    for start, stop in zip([0, *edges], [*edges, len(labels)], strict=True):
        if not counted[start]:
            continue
        marks = special[labels[start:stop]]
        borders = np.flatnonzero(np.diff(marks.astype(np.int8))) + 1 + start
        opens = int(start)
        pieces: list[Stretch] = []
        for begin, end in zip([start, *borders], [*borders, stop], strict=True):
            if not marks[begin - start]:
                pieces.append(Stretch(opens, int(begin), int(end), int(end)))
                opens = int(end)
        if pieces:
            last = pieces.pop()
            pieces.append(Stretch(last.opens, last.begin, last.end, int(stop)))
        found += pieces
    return found


def segment_of_tokens(ids: Sequence[int], segments: Sequence[str], decode: Decode) -> Ints:
    """Return the segment to which each token belongs, int64[tokens]: the one that holds the token's last character.

    segments: parts that, joined, are the text of the tokens.
    """
    if len(segments) < 2:
        return np.zeros(len(ids), np.int64)
    single = [decode([i]) for i in ids]
    ends = list(accumulate(map(len, single)))
    if "".join(single) != "".join(segments):
        # Tokens that are parts of a character, or are written in another way beside others.
        ends = [len(decode(ids[: count + 1])) for count in range(len(ids))]
    edges = np.cumsum([len(segment) for segment in segments])
    found = np.searchsorted(edges, np.maximum(np.asarray(ends) - 1, 0), side="right")
    return np.asarray(np.minimum(found, len(segments) - 1), np.int64)


@dataclass(frozen=True)
class Marks:
    """What is known of a row. scores: float32[length], of each label. heads: positions whose label begins a segment."""

    scores: NDArray[np.float32]
    heads: Ints


def insert_control(fields: Mapping[str, Any], ids: Sequence[Mapping[int, int]], fill: Mapping[str, Any]) -> dict[str, Any]:
    """Return the per-token fields of a batch with control tokens in front of some labels; rows become longer.

    fields: arrays [batch, length] or with more dimensions, input_ids, labels and loss_weights among them. ids: for each row,
    position to control token: its label there and the next input. fill: what pads rows, by field; nothing means 0. A control
    token has loss where the label before it has.
    """
    length = fields["labels"].shape[1]
    width = length + max(map(len, ids), default=0)
    out = {name: np.full((len(ids), width, *array.shape[2:]), fill.get(name, 0), array.dtype) for name, array in fields.items()}
    for row, control in enumerate(ids):
        places = np.asarray(sorted(control), np.int64)
        # Position t with a control token becomes two: one that predicts it, and one that reads it and predicts the label.
        source = np.sort(np.concatenate([np.arange(length), places]))
        added = np.searchsorted(source, places) + 1
        for name, array in fields.items():
            out[name][row, : len(source)] = array[row][source]
        tokens = [control[int(place)] for place in places]
        out["labels"][row, added - 1] = tokens
        out["input_ids"][row, added] = tokens
        before = np.where(places > 0, fields["loss_weights"][row][np.maximum(places - 1, 0)], 0)
        parts = fields.get("segment_ids")
        if parts is not None:
            before = before * (parts[row][np.maximum(places - 1, 0)] == parts[row][places])
        out["loss_weights"][row, added - 1] = before
        if "position_ids" in fields:
            out["position_ids"][row, : len(source)] += _moved(source, added, None if parts is None else parts[row])
    return out


def _moved(source: Ints, added: Ints, parts: NDArray[Any] | None) -> Ints:
    """Return by how much each position moves: control tokens read up to it in its part of the row, int64[positions]."""
    read = np.zeros(len(source), np.int64)
    read[added] = 1
    total = np.cumsum(read)
    if parts is None:
        return total
    part = parts[source]
    firsts = np.flatnonzero(np.diff(part, prepend=part[0] - 1))
    base = (total - read)[firsts]
    return total - np.repeat(base, np.diff(np.append(firsts, len(source))))
