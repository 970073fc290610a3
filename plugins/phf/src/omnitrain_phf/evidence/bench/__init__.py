"""Speed and memory beside what else there is."""

from __future__ import annotations

from omnitrain.api import Bench
from omnitrain_phf.evidence.bench.data import memory_bench, scoring_benches, stream_bench, writing_bench
from omnitrain_phf.evidence.bench.training import objective_benches, small_model, trainer_benches


def benches() -> list[Bench]:
    """Objectives, training loop, stream, scoring, writing and memory."""
    return [
        *objective_benches(),
        *trainer_benches(),
        stream_bench(),
        *scoring_benches(),
        writing_bench(small_model(1024).eval()),
        memory_bench(),
    ]
