"""The bench covers what the issue limits, and its variants measure something."""

from omnitrain_phf.bench import benches


def test_benches_cover_objectives_loop_stream_scoring_and_writing():
    found = {bench.name: bench for bench in benches()}
    for name in ("mle", "conditional", "unlikelihood", "rwr", "awr"):
        (bar,) = found[f"step with phf/{name}"].bars
        assert bar.speedup >= 1 / 1.10
    assert {"training loop", "stream", "scoring with pycodestyle", "scoring with scrubadub", "writing"} < set(found)
    assert all(run() > 0 for run in found["stream"].variants.values())
    assert all(run() > 0 for run in found["step with phf/unlikelihood"].variants.values())
