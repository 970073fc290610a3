"""The benchmark measures things that do the same."""

import numpy as np
import torch

from omnitrain_lae.evidence import bench
from omnitrain_lae.models.backbone import Backbone
from omnitrain_lae.models.learner import Learner
from omnitrain_tuning.adapter import AdapterPet


def test_every_comparison_runs_and_has_its_peers(monkeypatch):
    for name, value in {"WIDTH": 24, "DEPTH": 12, "SIZE": 16}.items():
        monkeypatch.setattr(bench, name, value)
    monkeypatch.setattr(bench, "backbone", lambda depth=12, make=bench.backbone: make(depth))
    monkeypatch.setattr(bench, "_attention", lambda make=bench._attention: make(9, 2, 2, 3))
    found = bench.benches()
    assert [b.ours for b in found] == ["lae/continual", "averaging", "frozen", *["one pass"] * 3, "fused"]
    for comparison in found:
        values = {name: run() for name, run in comparison.variants.items()}
        assert all(value > 0 for value in values.values())
        assert all(bar.peer in values for bar in comparison.bars)


def test_the_step_by_hand_computes_what_ours_computes(monkeypatch):
    monkeypatch.setattr(bench, "WIDTH", 24)
    ours = Learner(Backbone(bench.backbone()), AdapterPet(bench.RANK, bench.BLOCKS))
    by_hand = bench.backbone()
    for number in bench.BLOCKS:
        by_hand.layers[number].attention = bench._HandAdapted(by_hand.layers[number].attention)
    with torch.no_grad():
        for place, number in enumerate(bench.BLOCKS):
            for name, entry in ours.experts["online"][place].named_parameters():
                entry.add_(0.1 * torch.randn_like(entry))
                by_hand.layers[number].attention.get_parameter(name).copy_(entry)
        batch = bench._OneBatch().gather("train/1", np.arange(4))
        expected = by_hand(pixel_values=batch["pixel_values"]).last_hidden_state[:, 0]
        assert torch.allclose(ours.features(batch), expected, rtol=0, atol=1e-6)
