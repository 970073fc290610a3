"""The benches measure loops that do the same work."""

import torch

from omnitrain_eft import bench
from omnitrain_eft.composition import Dials
from omnitrain_eft.decoder import CompositionDecoder
from omnitrain_eft.ensemble import Ensemble
from omnitrain_eft.generation import Settings, generate
from omnitrain_eft.processors import Processing


def test_benches_cover_plain_sampled_and_speculative_decoding_with_their_limits(monkeypatch):
    made = bench.gpt2
    monkeypatch.setattr(bench, "gpt2", lambda layers, width, seed, scale=1.0: made(1, 32, seed, scale))
    monkeypatch.setattr(bench, "NEW", 6)
    monkeypatch.setattr(bench, "SAMPLING", Settings(6, Processing(temperature=1.0)))
    found = bench.benches()
    names = [b.name for b in found]
    assert names[:4] == ["plain, batch 1", "plain, batch 8", "sampling, batch 1", "sampling, batch 8"]
    assert [n for n in names if n.startswith("speculative")][:3] == [f"speculative, block {k}, batch 1" for k in (2, 4, 8)]
    assert {bar.peer: bar.speedup for bar in found[0].bars} == {"three single loops": 1 / 1.05, "recomputed": 2.5}
    assert all(rate > 0 for b in (found[0], found[2], found[4]) for rate in (run() for run in b.variants.values()))
    assert all("predicted" in b.notes for b in found[4:])


def test_recomputation_without_caches_gives_the_texts_of_the_cached_loop(monkeypatch):
    monkeypatch.setattr(bench, "NEW", 8)
    monkeypatch.setattr(torch, "multinomial", lambda p, n: p.argmax(-1, keepdim=True))
    models = [bench.gpt2(1, 64, seed, 8.0) for seed in range(3)]
    ensemble = Ensemble(models[0], models[1:], [0], [1], 1, 0, bench.VOCABULARY)
    ids = bench.prompts_of(2)
    greedy = Settings(8, Processing(temperature=0.0))
    cached = generate(CompositionDecoder(ensemble, Dials()), ids, greedy, [], 0).rows
    assert bench.recomputed(ensemble, ids)[:, bench.PROMPT :].tolist() == cached
