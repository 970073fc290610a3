"""The packing bench plans what it says, full rows and every document; the bench of preferences measures the same logits."""

import pytest

from omnitrain_language.evidence.bench import CAPACITY, benches, document_lengths, packing_bench
from omnitrain_language.evidence.generation import generation_bench
from omnitrain_language.evidence.instructions import instruction_bench
from omnitrain_language.evidence.preferences import preference_bench
from omnitrain_language.evidence.rate_limits import Counter, Kind, limit_bench, rate
from omnitrain_language.packing import plan_best_fit


def test_planned_rows_are_almost_full_and_hold_every_document() -> None:
    lengths = document_lengths()
    plan = plan_best_fit(lengths, CAPACITY)
    assert sorted(plan.order.tolist()) == list(range(len(lengths)))
    assert lengths.sum() / (plan.rows * CAPACITY) > 0.97


def test_every_variant_gives_a_rate_and_an_absent_peer_is_named() -> None:
    bench = packing_bench()
    assert set(bench.variants) | set(bench.absent) == {"plan", "plan and rows laid out", "trl bfd"}
    assert bench.variants["plan"]() > 0
    assert bench.variants["plan and rows laid out"]() > 0


def test_instruction_rows_are_set_beside_packed_blocks() -> None:
    bench = instruction_bench(document_lengths()[:2000], CAPACITY)
    assert all(variant() > 0 for variant in bench.variants.values())
    assert {bar.peer for bar in bench.bars} < set(bench.variants)


def test_preference_bench_sets_its_step_beside_the_model_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PAIRS": 2, "PROMPT": 4, "RESPONSE": 5, "VOCABULARY": 61, "WIDTH": 32, "LAYERS": 1}.items():
        monkeypatch.setattr(f"omnitrain_language.evidence.preferences.{name}", value)
    bench = preference_bench()
    assert all(variant() > 0 for variant in bench.variants.values())
    assert {bar.peer for bar in bench.bars} | {bench.ours} == set(bench.variants)


def test_generation_bench_gives_every_prompt_a_text_in_each_way(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PROMPTS": 32, "LONGEST": 8, "WRITTEN": 2}.items():
        monkeypatch.setattr(f"omnitrain_language.evidence.generation.{name}", value)
    bench = generation_bench()
    assert all(variant() > 0 for variant in bench.variants.values())
    assert {bar.peer for bar in bench.bars} < set(bench.variants)


def test_every_bench_has_a_name_of_its_own() -> None:
    names = [bench.name for bench in benches()]
    assert len(set(names)) == len(names)


def test_rates_are_those_of_the_steady_state_whatever_the_bursts() -> None:
    burst = [(60.0 * minute + 0.01 * place, 7) for minute in range(4) for place in range(10)]
    assert rate(burst, 30, "requests") == pytest.approx(10.0)
    assert rate(burst, 210, "tokens") == pytest.approx(70.0)
    late = [(66.0 * minute, 7) for minute in range(4) for _ in range(10)]
    assert rate(late, 30, "requests") == pytest.approx(10 * 60 / 66)


def test_the_servers_account_refuses_what_is_above_either_limit() -> None:
    counter = Counter(2, 100)
    assert [counter.take(at, tokens) for at, tokens in ((0.0, 60), (1.0, 50), (2.0, 40), (3.0, 0))] == [0.0, 59.0, 0.0, 57.0]
    assert counter.take(60.0, 60) == 0.0
    assert counter.taken == [(0.0, 60), (2.0, 40), (60.0, 60)]


@pytest.mark.parametrize("kind", ["requests", "tokens"])
def test_limit_bench_asks_a_server_that_counts(monkeypatch: pytest.MonkeyPatch, kind: Kind) -> None:
    limits = {"requests": (12, 100_000), "tokens": (100, 5_000)}
    for name, value in {"SPEED": 600.0, "LIMITS": limits, "MINUTES": 1}.items():
        monkeypatch.setattr(f"omnitrain_language.evidence.rate_limits.{name}", value)
    bench = limit_bench(kind)
    assert all(variant() > 0 for variant in bench.variants.values())
    assert {bar.peer for bar in bench.bars} < set(bench.variants)
