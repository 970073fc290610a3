"""Low-rank updates by role: the same as updated weights, one set for all or one for each example."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_ia3 import IDS, gpt2, hidden, llama

from omnitrain.errors import UsageError
from omnitrain_tuning.blocks import find_blocks
from omnitrain_tuning.lowrank import LowRankPet

EVERY = ("query", "key", "value", "feed_forward")
ATTENTION = EVERY[:3]


def attached_to(model, *experts, roles=("query", "value"), **settings):
    attached = LowRankPet(2, [0, 1], roles, **settings).attach(model, find_blocks(model))
    return attached, [attached.add(name).double() for name in experts]


def disturb(module, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, factor in module.named_parameters():
            if name.endswith(".b"):
                factor.copy_(torch.randn(factor.shape, dtype=torch.float64, generator=generator))


@pytest.mark.parametrize(("made", "roles"), [(llama, ATTENTION), (gpt2, EVERY)])
@pytest.mark.parametrize("of", ["input", "output"])
def test_fresh_factors_change_nothing_and_detaching_restores_the_model(made, roles, of):
    model = made()
    plain = hidden(model)
    attached, (module,) = attached_to(model, "a", roles=roles, feed_forward_of=of)
    attached.use(["a"])
    assert torch.equal(hidden(model), plain)
    disturb(module, 1)
    assert not torch.allclose(hidden(model), plain)
    attached.use([])
    assert torch.equal(hidden(model), plain)
    attached.use(["a"])
    attached.detach()
    assert torch.equal(hidden(model), plain)


@given(st.integers(0, 5), st.sampled_from([("query",), ("key", "value"), ATTENTION, EVERY]))
def test_factors_are_updated_weights_also_in_a_fused_projection(seed, roles):
    model = gpt2()
    folded = copy.deepcopy(model)
    attached, (module,) = attached_to(model, "a", roles=roles, scale=0.5)
    disturb(module, seed)
    attached.use(["a"])
    with torch.no_grad():
        for factors, block in zip(module, folded.h, strict=True):
            for role, own in factors.items():
                weight = block.mlp.c_fc.weight if role == "feed_forward" else block.attn.c_attn.weight
                start = 0 if role == "feed_forward" else 16 * EVERY.index(role)
                update = own.a[0] @ own.b[0] * 0.5
                weight[:, start : start + update.shape[1]] += update
    assert torch.allclose(hidden(model), hidden(folded), rtol=0, atol=1e-10)


@pytest.mark.parametrize(("made", "roles"), [(llama, ATTENTION), (gpt2, EVERY)])
def test_a_batch_of_different_entries_is_its_examples_alone(made, roles):
    model = made()
    attached, (module,) = attached_to(model, "a", roles=roles, entries=4)
    disturb(module, 2)
    attached.use(["a"])
    chosen = [2, 0, 1, 2]
    alone = []
    for row, entry in enumerate(chosen):
        attached.select(torch.tensor([entry] * 4))
        alone.append(hidden(model)[row])
    attached.select(torch.tensor(chosen))
    assert torch.allclose(hidden(model), torch.stack(alone), rtol=0, atol=1e-10)


def test_only_chosen_entries_get_gradients():
    model = gpt2().requires_grad_(False)
    attached, (module,) = attached_to(model, "a", roles=EVERY, entries=4)
    disturb(module, 2)
    attached.use(["a"])
    attached.select(torch.tensor([2, 0, 0, 2]))
    model(input_ids=IDS).last_hidden_state.square().sum().backward()
    for name, factor in module.named_parameters():
        if name.endswith((".a", ".b")):
            assert [bool(entry.abs().sum()) for entry in factor.grad] == [True, False, True, False]


def test_two_experts_in_one_pass_are_two_passes_each_with_its_selection():
    model = gpt2()
    attached, modules = attached_to(model, "a", "b", roles=EVERY, entries=2)
    for seed, module in enumerate(modules):
        disturb(module, seed)
    attached.select(torch.tensor([0, 1, 1, 0]))
    separate = []
    for name in ("a", "b"):
        attached.use([name])
        separate.append(hidden(model))
    attached.use(["a", "b"])
    together = hidden(model)
    assert torch.allclose(together[:2], separate[0][:2], rtol=0, atol=1e-10)
    assert torch.allclose(together[2:], separate[1][2:], rtol=0, atol=1e-10)


def test_the_pool_of_l2m_has_its_number_of_parameters():
    with torch.device("meta"):
        model = gpt2()
        width = 768
        model = type(model)(type(model.config)(vocab_size=1, n_embd=width, n_layer=6, n_head=12))
        method = LowRankPet(8, range(6), ("query", "value", "feed_forward"), 2.0, entries=30, feed_forward_of="output")
        pool = method.attach(model, find_blocks(model)).add("pool")
    assert sum(p.numel() for p in pool.parameters()) + 30 * width == 13_294_080


def test_what_is_not_certain_is_refused():
    with pytest.raises(UsageError, match="expected some of query, key, value and feed_forward; found output"):
        LowRankPet(2, [0], ("output",))
    with pytest.raises(UsageError, match=r"found mlp.gate_proj, mlp.up_proj; leave feed_forward out of the roles"):
        attached_to(llama(), "a", roles=("feed_forward",))
    model = gpt2()
    attached, _ = attached_to(model, "a", entries=2)
    attached.use(["a"])
    with pytest.raises(ValueError, match="there are 2 entries, so each example needs one"):
        hidden(model)
