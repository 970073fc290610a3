"""The benches measure what they say."""

from omnitrain_vpt.bench import benches


def test_every_variant_gives_a_positive_number():
    found = benches()
    assert {bench.name for bench in found} >= {"cloning", "acting", "decoding beside training", "episodes"}
    for bench in found:
        if bench.name in ("decoding beside training", "acting, cost over time"):
            assert all(run() > 0 for run in bench.variants.values())
        assert bench.ours in bench.variants
        assert all(bar.peer in bench.variants for bar in bench.bars)
