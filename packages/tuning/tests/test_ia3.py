"""IA3 on models of transformers: the same as rescaled weights."""

import copy

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from omnitrain.errors import UsageError
from omnitrain_tuning.blocks import find_blocks, select_blocks
from omnitrain_tuning.ia3 import IA3Pet, feed_forward_output


def llama():
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=32,
        hidden_size=16,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    return transformers.LlamaModel(config).double().eval()


def gpt2():
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=32, n_embd=16, n_layer=2, n_head=2)
    return transformers.GPT2Model(config).double().eval()


IDS = torch.tensor([[1, 5, 9], [2, 2, 7], [30, 4, 0], [8, 8, 8]])


def hidden(model):
    with torch.no_grad():
        return model(input_ids=IDS).last_hidden_state


def attached_to(model, *experts, **settings):
    method = IA3Pet([0, 1], **settings)
    attached = method.attach(model, select_blocks(find_blocks(model), method.blocks))
    return attached, [attached.add(name).double() for name in experts]


def disturb(module, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for vector in module.parameters():
            vector.copy_(1 + torch.randn(vector.shape, dtype=torch.float64, generator=generator))


@pytest.mark.parametrize(("made", "roles"), [(llama, ("key", "value", "feed_forward")), (gpt2, ("feed_forward",))])
def test_fresh_vectors_change_nothing_and_detaching_restores_the_model(made, roles):
    model = made()
    plain = hidden(model)
    attached, (module,) = attached_to(model, "a", roles=roles)
    attached.use(["a"])
    assert torch.equal(hidden(model), plain)
    disturb(module, 1)
    assert not torch.equal(hidden(model), plain)
    attached.use([])
    assert torch.equal(hidden(model), plain)
    attached.use(["a"])
    attached.detach()
    assert torch.equal(hidden(model), plain)


@given(st.integers(0, 5), st.sampled_from([("key",), ("value",), ("feed_forward",), ("key", "value", "feed_forward")]))
def test_vectors_are_rescaled_weights(seed, roles):
    model = llama()
    folded = copy.deepcopy(model)
    attached, (module,) = attached_to(model, "a", roles=roles)
    disturb(module, seed)
    attached.use(["a"])
    with torch.no_grad():
        for vectors, block in zip(module, find_blocks(folded), strict=True):
            for role, vector in vectors.items():
                if role == "feed_forward":
                    block.module.mlp.down_proj.weight.mul_(vector)
                else:
                    folded.get_submodule(getattr(block.attention, role)).weight.mul_(vector[:, None])
    assert torch.allclose(hidden(model), hidden(folded), rtol=0, atol=1e-10)


def test_two_experts_in_one_pass_are_two_passes():
    model = llama()
    attached, modules = attached_to(model, "a", "b")
    for seed, module in enumerate(modules):
        disturb(module, seed)
    separate = []
    for name in ("a", "b"):
        attached.use([name])
        separate.append(hidden(model))
    attached.use(["a", "b"])
    together = hidden(model)
    assert torch.allclose(together[:2], separate[0][:2], rtol=0, atol=1e-10)
    assert torch.allclose(together[2:], separate[1][2:], rtol=0, atol=1e-10)


def test_there_is_one_vector_a_role():
    _, (module,) = attached_to(llama(), "a")
    assert {name: len(vector) for name, vector in module[0].items()} == {"key": 8, "value": 8, "feed_forward": 40}


def test_the_feed_forward_output_is_found_by_its_shape():
    model = gpt2()
    assert feed_forward_output(find_blocks(model)[1]) is model.h[1].mlp.c_proj


def test_what_has_no_module_of_its_own_is_refused_with_its_role():
    with pytest.raises(UsageError, match=r"Block h.0 has no projection of its own for the key.*leave key out of the roles"):
        attached_to(gpt2(), "a")
    with pytest.raises(UsageError, match="expected some of key, value and feed_forward; found query"):
        IA3Pet([0], roles=("query",))
