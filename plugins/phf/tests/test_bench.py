"""The benches cover what matters, name what they time, and their variants measure something."""

import pytest

from omnitrain_phf.evidence.bench import benches, data, training


@pytest.fixture
def found(monkeypatch):
    """The benches by name, on little data."""
    for name, count in {"DOCUMENTS": 300, "BATCHES": 2, "LISTED": 40, "SENTENCES": 300}.items():
        monkeypatch.setattr(data, name, count)
    monkeypatch.setattr(training, "STEPS", 1)
    return {bench.name: bench for bench in benches()}


def test_benches_cover_objectives_loop_stream_scoring_writing_and_memory(found):
    for name in training.OBJECTIVES:
        assert {f"step with phf/{name}", f"training loop with phf/{name}"} <= set(found)
    scoring = {"scoring with pycodestyle", "scoring with scrubadub", "scoring in processes"}
    assert {"stream", "sentences", "writing", "memory of unlikelihood"} | scoring <= set(found)
    for bench in found.values():
        assert bench.ours in bench.variants
        assert {bar.peer for bar in bench.bars} <= set(bench.variants)
    for name in ("stream", "sentences", "scoring with scrubadub", "step with phf/unlikelihood"):
        assert all(run() > 0 for run in found[name].variants.values())
