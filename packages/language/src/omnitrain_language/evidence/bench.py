"""The plan of a packing beside trl's best fit on the same documents; what other modules here time stands behind it."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from time import process_time

import numpy as np
from numpy.typing import NDArray

from omnitrain.api import Bar, Bench
from omnitrain_language.evidence.generation import generation_bench
from omnitrain_language.evidence.instructions import instruction_bench
from omnitrain_language.evidence.preferences import preference_bench
from omnitrain_language.evidence.rate_limits import limit_bench
from omnitrain_language.packing import gather_rows, plan_best_fit

DOCUMENTS, CAPACITY = 20_000, 1024


def document_lengths() -> NDArray[np.int64]:
    """Return lengths of documents as real corpora have them: log-normal, cut to a row."""
    drawn = np.random.default_rng(0).lognormal(4.8, 1.0, DOCUMENTS)
    return np.clip(drawn, 8, CAPACITY).astype(np.int64)


def benches() -> list[Bench]:
    """Return all benches."""
    trained = [packing_bench(), instruction_bench(document_lengths(), CAPACITY), preference_bench(), generation_bench()]
    return [*trained, limit_bench("requests"), limit_bench("tokens")]


def packing_bench() -> Bench:
    """Return the packing bench; trl is named as absent where it is not installed."""
    lengths = document_lengths()
    starts, total = np.cumsum(lengths) - lengths, int(lengths.sum())
    plan = plan_best_fit(lengths, CAPACITY)

    def rate(work: Callable[[], object]) -> Callable[[], float]:
        def measure() -> float:
            began = process_time()
            work()
            return total / (process_time() - began) / 1e6

        return measure

    def whole() -> None:
        found = plan_best_fit(lengths, CAPACITY)
        gather_rows(found, starts, lengths, np.arange(found.rows))

    variants = {"plan": rate(lambda: plan_best_fit(lengths, CAPACITY)), "plan and rows laid out": rate(whole)}
    installed = find_spec("trl") is not None and find_spec("datasets") is not None
    if installed:
        variants["trl bfd"] = rate(_trl(lengths))
    fill = total / (plan.rows * CAPACITY)
    return Bench(
        name="best-fit packing",
        summary=f"{DOCUMENTS} documents into rows of {CAPACITY}, {100 * fill:.2f} % full.",
        unit="M tokens/s",
        ours="plan",
        variants=variants,
        higher_is_better=True,
        bars=(Bar("trl bfd", 5.0),) if installed else (),
        absent=() if installed else ("trl bfd",),
    )


def _trl(lengths: NDArray[np.int64]) -> Callable[[], object]:
    from datasets import Dataset, disable_progress_bars
    from trl.data_utils import pack_dataset

    disable_progress_bars()
    documents = Dataset.from_dict({"input_ids": [np.zeros(n, np.int64) for n in lengths]})
    return lambda: pack_dataset(documents, seq_length=CAPACITY, strategy="bfd", map_kwargs={"keep_in_memory": True})
