"""Speculation: the same text greedily, the same law when sampled, with ragged acceptance."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from omnitrain_eft.paper.speculation import ideal_speedup, residual, tokens_per_round


@given(st.floats(0, 1), st.integers(1, 16))
def test_cost_model_lies_between_no_and_full_acceptance(acceptance, block):
    tokens = tokens_per_round(acceptance, block)
    assert 1 <= tokens <= block + 1 + 1e-9
    assert ideal_speedup(1.0, block, 0.0) == block + 1


def test_residual_falls_back_on_p_where_nothing_is_left():
    p = torch.tensor([[0.25, 0.75]])
    assert torch.equal(residual(p, p), p)
    assert torch.allclose(residual(p, torch.tensor([[0.5, 0.5]])), torch.tensor([[0.0, 0.25]]))
