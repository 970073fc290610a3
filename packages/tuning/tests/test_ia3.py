"""IA3 on models of transformers: the same as rescaled weights."""

import copy

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from omnitrain.errors import UsageError
from omnitrain_tuning.blocks import find_blocks, select_blocks
from omnitrain_tuning.ia3 import IA3Pet
from omnitrain_tuning.roles import feed_forward_output


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


@pytest.mark.parametrize(
    ("made", "roles"), [(llama, ("key", "value", "feed_forward")), (gpt2, ("key", "value", "feed_forward"))]
)
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


def test_vectors_of_a_fused_projection_rescale_their_third_alone():
    model = gpt2()
    folded = copy.deepcopy(model)
    attached, (module,) = attached_to(model, "a", roles=("key", "value"))
    disturb(module, 3)
    attached.use(["a"])
    with torch.no_grad():
        for vectors, block in zip(module, find_blocks(folded), strict=True):
            scale = torch.cat([torch.ones(16), vectors["key"], vectors["value"]]).double()
            block.module.attn.c_attn.weight.mul_(scale)
            block.module.attn.c_attn.bias.mul_(scale)
    assert torch.allclose(hidden(model), hidden(folded), rtol=0, atol=1e-10)


@pytest.mark.parametrize("made", [llama, gpt2])
def test_each_example_is_rescaled_by_the_vectors_chosen_for_it(made):
    model = made()
    attached, (module,) = attached_to(model, "a", entries=3)
    disturb(module, 2)
    attached.use(["a"])
    alone = []
    for entry in (2, 0, 1, 2):
        attached.select(torch.tensor([entry] * 4))
        alone.append(hidden(model)[len(alone)])
    attached.select(torch.tensor([2, 0, 1, 2]))
    assert torch.allclose(hidden(model), torch.stack(alone), rtol=0, atol=1e-10)
    attached.select(None)
    with pytest.raises(ValueError, match="there are 3 entries, so each example needs one"):
        hidden(model)


def test_what_is_not_known_is_refused_with_its_role():
    config = transformers.GPTNeoXConfig(
        vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    interleaved = transformers.GPTNeoXModel(config)
    with pytest.raises(UsageError, match=r"Block layers.0 has one projection for query, key and value.*leave key out"):
        IA3Pet([0]).attach(interleaved, find_blocks(interleaved))
    with pytest.raises(UsageError, match="expected some of key, value and feed_forward; found query"):
        IA3Pet([0], roles=("query",))
