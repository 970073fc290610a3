"""Prefix attention: the fused form against the formula."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from omnitrain_lae.paper.calibration import compensate, explicit_prefix_attention, fast_prefix_attention
from omnitrain_tuning.prefix import extend_mask


def tensors(seed, heads, queries, keys, prefix, batch=2, width=4):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(batch, heads, queries, width), *[(batch, heads, keys, width)] * 2, *[(1, heads, prefix, width)] * 2]
    return [torch.randn(s, dtype=torch.float64, generator=generator).requires_grad_() for s in shapes]


@given(st.integers(0, 9), st.integers(1, 3), st.integers(1, 5), st.integers(1, 6), st.integers(1, 4), st.booleans())
def test_fast_attention_is_the_formula_in_value_and_gradient(seed, heads, queries, keys, prefix, compensated):
    inputs = tensors(seed, heads, queries, keys, prefix)
    mask = torch.randn(2, 1, queries, keys, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    found = []
    for attend in (explicit_prefix_attention, fast_prefix_attention):
        output = attend(*inputs, mask=mask, compensated=compensated)
        gradients = torch.autograd.grad(output.sin().sum(), inputs)
        found.append([output, *gradients])
    assert all(torch.allclose(a, b, rtol=0, atol=1e-12) for a, b in zip(*found, strict=True))


def test_the_place_of_the_prefix_among_the_columns_changes_nothing():
    inputs = tensors(0, 2, 3, 5, 2)
    first, second = (explicit_prefix_attention(*inputs, position=p) for p in (0, 3))
    assert torch.allclose(first, second, rtol=0, atol=1e-14)


def test_compensation_is_the_sum_of_two_attentions():
    query, key, value, prefix_key, prefix_value = tensors(1, 2, 3, 5, 2)
    scores = torch.cat([query @ prefix_key.transpose(-1, -2), query @ key.transpose(-1, -2)], dim=-1) / 2
    share = torch.softmax(scores, dim=-1)[..., :2].sum(dim=-1, keepdim=True)
    plain = torch.softmax(query @ key.transpose(-1, -2) / 2, dim=-1) @ value
    prefix = torch.softmax(query @ prefix_key.transpose(-1, -2) / 2, dim=-1) @ prefix_value
    found = fast_prefix_attention(query, key, value, prefix_key, prefix_value)
    assert torch.allclose(found, (1 - share) * plain + prefix, rtol=0, atol=1e-12)


@pytest.mark.parametrize("mask", [torch.tensor([[True, False, True]]), torch.tensor([[0.0, -torch.inf, 0.0]])])
def test_masked_keys_stay_masked_and_the_prefix_is_seen(mask):
    query, key, value, prefix_key, prefix_value = tensors(2, 1, 1, 3, 2)
    extended = extend_mask(mask, 0, 2)
    assert extended.shape == (1, 5)
    with torch.no_grad():
        masked = fast_prefix_attention(
            query, key, value, prefix_key, prefix_value, mask=mask if mask.dtype == torch.bool else mask.double()
        )
        kept = fast_prefix_attention(query, key[:, :, [0, 2]], value[:, :, [0, 2]], prefix_key, prefix_value)
    assert torch.allclose(masked, kept, rtol=0, atol=1e-12)


def test_rows_sum_to_two_less_the_share_of_the_prefix():
    rows = torch.softmax(torch.randn(3, 7, dtype=torch.float64), dim=-1)
    share = rows[:, 1:3].sum(dim=-1)
    assert torch.allclose(compensate(rows, 1, 2).sum(dim=-1), 2 - share)
