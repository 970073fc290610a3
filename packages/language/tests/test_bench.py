"""The packing bench plans what it says, full rows and every document."""

from omnitrain_language.evidence.bench import CAPACITY, benches, document_lengths
from omnitrain_language.packing import plan_best_fit


def test_planned_rows_are_almost_full_and_hold_every_document() -> None:
    lengths = document_lengths()
    plan = plan_best_fit(lengths, CAPACITY)
    assert sorted(plan.order.tolist()) == list(range(len(lengths)))
    assert lengths.sum() / (plan.rows * CAPACITY) > 0.97


def test_every_variant_gives_a_rate_and_an_absent_peer_is_named() -> None:
    (bench,) = benches()
    assert set(bench.variants) | set(bench.absent) == {"plan", "plan and rows laid out", "trl bfd"}
    assert bench.variants["plan"]() > 0
    assert bench.variants["plan and rows laid out"]() > 0
