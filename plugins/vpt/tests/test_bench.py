"""The benches measure what they say."""

from multiprocessing import active_children

from omnitrain_vpt.evidence.bench import PROCESSES, benches

RUN = ("cloning", "decoding beside training", "acting, cost over time")


def test_every_variant_gives_a_positive_number():
    found = benches()
    assert {bench.name for bench in found} >= {*RUN, "acting", "episodes", "stepping over processes"}
    for bench in found:
        if bench.name in RUN:
            assert all(run() > 0 for run in bench.variants.values())
        assert bench.ours in bench.variants
        assert all(bar.peer in bench.variants for bar in bench.bars)


def test_environments_in_processes_are_started_once():
    (bench,) = [bench for bench in benches() if bench.name == "stepping over processes"]
    ours, before = bench.variants[bench.ours], set(active_children())
    assert ours() > 0
    started = set(active_children()) - before
    assert len(started) == PROCESSES
    assert ours() > 0
    assert set(active_children()) - before == started
