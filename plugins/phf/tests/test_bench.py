"""The benches cover what the issue limits, and their variants measure something."""

from omnitrain_phf.evidence.bench import benches
from omnitrain_phf.evidence.bench.training import OBJECTIVES


def test_benches_cover_objectives_loop_stream_scoring_writing_and_memory():
    found = {bench.name: bench for bench in benches()}
    for name in OBJECTIVES:
        (bar,) = found[f"step with phf/{name}"].bars
        assert bar.speedup == (1 / 1.10 if name == "unlikelihood" else 1 / 1.03)
        assert f"training loop with phf/{name}" in found
    for name in ("pycodestyle", "scrubadub"):
        (bar,) = found[f"scoring with {name}"].bars
        assert (bar.peer, bar.speedup) == ("scorer alone", 1 / 1.10)
    assert {"stream", "sentences", "scoring in processes", "writing", "memory of unlikelihood"} < set(found)
    for name in ("stream", "sentences", "scoring with scrubadub", "step with phf/unlikelihood"):
        assert all(run() > 0 for run in found[name].variants.values())
