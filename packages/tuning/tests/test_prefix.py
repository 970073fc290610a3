"""Plain prefix attention."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_ia3 import gpt2, hidden

from omnitrain_tuning.blocks import find_blocks
from omnitrain_tuning.prefix import PrefixPet, causal_mask, extend_mask, prefix_attention


def tensors(seed, heads, queries, keys, prefix, batch=2, width=4):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(batch, heads, queries, width), *[(batch, heads, keys, width)] * 2, *[(1, heads, prefix, width)] * 2]
    return [torch.randn(s, dtype=torch.float64, generator=generator) for s in shapes]


@given(st.integers(0, 9), st.integers(1, 3), st.integers(1, 5), st.integers(1, 6), st.integers(1, 4))
def test_it_is_one_softmax_over_prefix_and_keys(seed, heads, queries, keys, prefix):
    query, key, value, prefix_key, prefix_value = tensors(seed, heads, queries, keys, prefix)
    scores = torch.cat([query @ prefix_key.mT, query @ key.mT], dim=-1) / 2
    values = torch.cat([prefix_value.expand(2, -1, -1, -1), value], dim=2)
    found = prefix_attention(query, key, value, prefix_key, prefix_value)
    assert torch.allclose(found, torch.softmax(scores, dim=-1) @ values, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.bool, torch.float64])
def test_every_query_sees_the_prefix_and_a_masked_key_stays_masked(dtype):
    seen = causal_mask(3, torch.device("cpu"))
    mask = seen if dtype == torch.bool else torch.zeros(3, 3, dtype=dtype).masked_fill(~seen, -torch.inf)
    extended = extend_mask(mask, 0, 2)
    allowed = extended if dtype == torch.bool else extended == 0
    assert allowed.tolist() == torch.cat([torch.ones(3, 2, dtype=torch.bool), seen], dim=1).tolist()
    query, key, value, prefix_key, prefix_value = tensors(1, 1, 3, 3, 2)
    masked = prefix_attention(query, key, value, prefix_key, prefix_value, mask=mask)
    first = prefix_attention(query[:, :, :1], key[:, :, :1], value[:, :, :1], prefix_key, prefix_value)
    assert torch.allclose(masked[:, :, :1], first, rtol=0, atol=1e-12)


def test_each_example_attends_to_the_prefixes_chosen_for_it_one_or_several():
    model = gpt2()
    plain = hidden(model)
    attached = PrefixPet(2, [0, 1], scale=50.0, entries=3).attach(model, find_blocks(model))
    attached.add("a").double()
    attached.use(["a"])
    for chosen in (torch.tensor([2, 0, 1, 2]), torch.tensor([[0, 1], [2, 0], [1, 2], [2, 1]])):
        alone = []
        for row, entry in enumerate(chosen):
            attached.select(torch.stack([entry] * 4))
            alone.append(hidden(model)[row])
        attached.select(chosen)
        found = hidden(model)
        assert torch.allclose(found, torch.stack(alone), rtol=0, atol=1e-10)
        assert not torch.allclose(found[0], found[1] - plain[1] + plain[0], rtol=0, atol=1e-6)
    attached.use([])
    assert torch.equal(hidden(model), plain)
