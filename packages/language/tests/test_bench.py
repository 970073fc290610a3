"""The packing bench plans what it says, full rows and every document; the bench of preferences measures the same logits."""

import pytest

from omnitrain_language.evidence.bench import CAPACITY, benches, document_lengths, packing_bench
from omnitrain_language.evidence.generation import generation_bench
from omnitrain_language.evidence.instructions import instruction_bench
from omnitrain_language.evidence.preferences import preference_bench
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
