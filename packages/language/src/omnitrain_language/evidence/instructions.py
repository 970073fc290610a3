"""Instruction rows beside packed blocks, as batches of an epoch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice
from time import process_time

import numpy as np
from numpy.typing import NDArray

from omnitrain.api import Bar, BatchPlan, Bench
from omnitrain_language.data.blocks import PackedDocuments
from omnitrain_language.dialogues.batches import packed_batch
from omnitrain_language.dialogues.stored import StoredRows
from omnitrain_language.order import RowStream
from omnitrain_language.packed_order import PackedStream, Packing, plan_epoch
from omnitrain_language.packing import PackingPlan, plan_best_fit

ROWS = 16


def _rate(work: Callable[[], object], total: int) -> Callable[[], float]:
    def measure() -> float:
        began = process_time()
        work()
        return total / (process_time() - began) / 1e6

    return measure


def instruction_bench(lengths: NDArray[np.int64], capacity: int) -> Bench:
    """Return the bench of an epoch of instruction rows beside the packed blocks of the same lengths."""
    total = int(lengths.sum())
    tokens = np.arange(total + 1, dtype=np.uint16) % 1000
    stored = StoredRows.of_arrays(tokens[:-1], np.zeros(total, np.int8), np.concatenate([[0], np.cumsum(lengths)]))

    def planned(packing: Packing, epoch: int) -> PackingPlan:
        return plan_epoch(lengths, capacity, packing, 0, epoch)

    batches: dict[Packing, int] = {packing: planned(packing, 0).rows // ROWS for packing in ("in-order", "best-fit")}

    def instructions(packing: Packing) -> object:
        gather = partial(packed_batch, stored, pad=0)
        stream = PackedStream(len(lengths), BatchPlan(ROWS, 0), partial(planned, packing), gather)
        return [len(batch) for batch in islice(stream, batches[packing])]

    def blocks() -> object:
        begins = np.cumsum(lengths) - lengths
        packed = PackedDocuments(tokens, begins, lengths, plan_best_fit(lengths, capacity), 0)
        stream = RowStream(len(packed), BatchPlan(ROWS, 0), lambda rows: dict(packed.gather(rows)))
        return [len(batch) for batch in islice(stream, len(packed) // ROWS)]

    works: dict[str, Callable[[], object]] = {
        "in order": lambda: instructions("in-order"),
        "best fit": lambda: instructions("best-fit"),
        "packed blocks": blocks,
    }
    return Bench(
        name="instruction rows",
        summary=f"an epoch of {len(lengths)} dialogues, planned in rows of {capacity} and drawn as batches of {ROWS}.",
        unit="M tokens/s",
        ours="in order",
        variants={name: _rate(work, total) for name, work in works.items()},
        higher_is_better=True,
        bars=(Bar("packed blocks", 1.0),),
    )
