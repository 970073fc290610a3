"""Adapters in series, on feed-forward layers, shared by all blocks."""

import pytest
import torch
import transformers
from test_ia3 import gpt2, hidden, llama

from omnitrain.errors import UsageError
from omnitrain_tuning.adapter import AdapterPet
from omnitrain_tuning.blocks import find_blocks


def attached_to(model, **settings):
    attached = AdapterPet(3, [0, 1], **settings).attach(model, find_blocks(model))
    module = attached.add("a").double()
    generator = torch.Generator().manual_seed(0)
    plain = hidden(model)
    attached.use(["a"])
    if settings.get("mode") != "after":  # which adds its input
        assert torch.equal(hidden(model), plain)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, dtype=torch.float64, generator=generator) * 0.3)
    return attached, module


@pytest.mark.parametrize("made", [gpt2, llama])
def test_adapters_behind_both_sublayers_change_what_these_give(made):
    model, other = made(), made()
    attached, module = attached_to(model, mode="serial", where=("attention", "feed_forward"), activation="silu")
    for adapters, block in zip(module, find_blocks(other), strict=True):
        attention, layer = block.attention.sublayer, block.module.mlp

        def behind(own, args, output, adapter):
            first = output[0] if isinstance(output, tuple) else output
            changed = first + adapter.up(torch.nn.functional.silu(adapter.down(first))) * adapter.scale
            return (changed, *output[1:]) if isinstance(output, tuple) else changed

        for target, name in ((attention, "attention"), (layer, "feed_forward")):
            target.register_forward_hook(lambda m, a, o, adapter=adapters[name], change=behind: change(m, a, o, adapter))
    assert torch.allclose(hidden(model), hidden(other), rtol=0, atol=1e-10)
    attached.detach()
    assert torch.equal(hidden(model), hidden(made()))


def test_shared_adapters_are_one_set():
    model = gpt2()
    _, module = attached_to(model, mode="serial", where=("attention", "feed_forward"), shared=True)
    # down, up, their biases and the scale, for each of two sub-layers and not for each block
    assert sum(p.numel() for p in module.parameters()) == 2 * (2 * 16 * 3 + 16 + 3 + 1)
    hidden(model)
    other = gpt2()
    _, separate = attached_to(other, mode="serial", where=("attention", "feed_forward"))
    for own in separate:
        own.load_state_dict(module["shared"].state_dict())
    assert torch.equal(hidden(other), hidden(model))


def test_a_feed_forward_layer_without_a_module_is_refused():
    bert = transformers.BertModel(
        transformers.BertConfig(vocab_size=32, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    )
    with pytest.raises(UsageError, match="no module of its own for its feed-forward layer"):
        AdapterPet(2, [0], where=("feed_forward",)).attach(bert, find_blocks(bert))
