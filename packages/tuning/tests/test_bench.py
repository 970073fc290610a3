"""The bench compares what gives the same, or the backbone alone."""

import torch

from omnitrain_tuning.evidence.bench import forwards, modulated


def test_one_pass_gives_what_single_passes_give_and_another_than_the_backbone():
    works = forwards(*modulated(width=16, layers=1, heads=2), batch=3)
    together = works["a set for each example"]()
    assert torch.allclose(together, works["example by example"](), rtol=0, atol=1e-5)
    assert not torch.allclose(together, works["frozen backbone"](), rtol=0, atol=1e-3)
