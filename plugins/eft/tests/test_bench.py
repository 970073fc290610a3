"""The benches measure loops that do the same work."""

from types import SimpleNamespace

import pytest
import torch

from omnitrain_eft.configs.evaluators import ThroughputConfig
from omnitrain_eft.evaluators.throughput import Measured, Throughput
from omnitrain_eft.evidence import bench
from omnitrain_eft.models.decoding.loop import Counts, Decoding, generate
from omnitrain_eft.models.decoding.plain import CompositionDecoder
from omnitrain_eft.models.decoding.processors import Processing
from omnitrain_eft.models.ensemble import Ensemble
from omnitrain_eft.paper.composition import Dials


def test_benches_cover_plain_sampled_and_speculative_decoding_with_their_limits(monkeypatch):
    made = bench.gpt2
    monkeypatch.setattr(bench, "gpt2", lambda layers, width, seed, scale=1.0: made(1, 32, seed, scale))
    monkeypatch.setattr(bench, "NEW", 6)
    monkeypatch.setattr(bench, "SAMPLING", Decoding(6, Processing(temperature=1.0)))
    found = bench.benches()
    names = [b.name for b in found]
    assert names[:4] == ["plain, batch 1", "plain, batch 8", "sampling, batch 1", "sampling, batch 8"]
    assert [n for n in names if n.startswith("speculative")][:3] == [f"speculative, block {k}, batch 1" for k in (2, 4, 8)]
    limits = {"three single loops": 1 / 1.05, "the three in turn": 1 / 1.05, "recomputed": 2.5}
    assert {bar.peer: bar.speedup for bar in found[0].bars} == limits
    assert all(rate > 0 for b in (found[0], found[2], found[4]) for rate in (run() for run in b.variants.values()))
    assert all("predicted" in b.notes for b in found[4:])


def test_throughput_shows_the_large_model_alone_and_the_prediction_beside_every_block():
    timings = {}
    run = SimpleNamespace(timing=lambda step, values: timings.update(values))
    texts = [[4] * 100]
    found = {
        "large model alone": Measured(texts, Counts(100, 100), [10.0, 10.2, 9.8]),
        "small model alone": Measured(texts, Counts(100, 100), [1.0, 1.0, 1.0]),
        "plain": Measured(texts, Counts(100, 100, 100), [12.0, 12.0, 12.0]),
    }
    for block in (2, 4, 8):
        counts = Counts(100, 40, 160, rounds=40, drafted=40 * block, accepted=60, rejected=20)
        found[f"speculative {block}"] = Measured(texts, counts, [6.0, 6.0, 8.0])
    report = Throughput(ThroughputConfig(), 0)._evaluation(found, run)
    table = report.tables["throughput"]
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert list(rows) == list(found)
    assert rows["large model alone"]["tokens a second"] == 10.0
    assert rows["large model alone"]["against plain"] == 1.2
    for block in (2, 4, 8):
        row = rows[f"speculative {block}"]
        assert row["large passes a token"] == 0.4
        assert row["against plain"] == 2.0
        # acceptance 60 / 80, a small pass 1 s, a large one 10 s
        assert row["predicted"] == pytest.approx((1 - 0.75 ** (block + 1)) / 0.25 * 1.2 / (1 + 0.1 * (block + 2)))
        assert timings[f"speculative {block}/predicted"] == row["predicted"]


def test_recomputation_without_caches_gives_the_texts_of_the_cached_loop(monkeypatch):
    monkeypatch.setattr(bench, "NEW", 8)
    monkeypatch.setattr(torch, "multinomial", lambda p, n: p.argmax(-1, keepdim=True))
    models = [bench.gpt2(1, 64, seed, 8.0) for seed in range(3)]
    ensemble = Ensemble(models[0], models[1:], [0], [1], 1, 0, bench.VOCABULARY)
    ids = bench.prompts_of(2)
    greedy = Decoding(8, Processing(temperature=0.0))
    cached = generate(CompositionDecoder(ensemble, Dials()), ids, greedy, [], 0).rows
    assert bench.recomputed(ensemble, ids)[:, bench.PROMPT :].tolist() == cached
