"""Places of modules, found by role."""

import pytest
import transformers
from torch import nn

from omnitrain.errors import UsageError
from omnitrain_tuning.adapter import AdapterPet
from omnitrain_tuning.blocks import Attention, Block, find_blocks
from omnitrain_tuning.lora import LoraPet
from omnitrain_tuning.prefix import PrefixPet


def test_places_are_found_in_text_models_too():
    causal = transformers.LlamaModel(
        transformers.LlamaConfig(
            vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2
        )
    )
    gpt2 = transformers.GPT2Model(transformers.GPT2Config(vocab_size=32, n_embd=16, n_layer=2, n_head=2))
    t5 = transformers.T5EncoderModel(
        transformers.T5Config(vocab_size=32, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
    )
    bert = transformers.BertModel(
        transformers.BertConfig(vocab_size=32, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
    )
    assert [len(find_blocks(m)) for m in (causal, gpt2, t5, bert)] == [2, 2, 2, 2]
    assert find_blocks(gpt2)[0].attention.key is None
    with pytest.raises(UsageError, match="one projection for query, key and value"):
        LoraPet(2, (0,)).attach(gpt2, find_blocks(gpt2))


@pytest.mark.parametrize(
    ("method", "what"), [(AdapterPet(2, (0,)), "an adapter"), (PrefixPet(2, (0,)), "a prefix"), (LoraPet(2, (0,)), "LoRA")]
)
def test_blocks_without_attention_are_refused_before_a_module_is_touched(method, what):
    mixed = (Block("first", nn.Module(), 4, Attention(nn.Module(), nn.Module(), "k", "v")), Block("maps", nn.Module(), 4, None))
    with pytest.raises(UsageError, match=f"^Block maps has no attention for {what}; take the method conv-adapter\\.$"):
        method.attach(nn.Module(), mixed)
    assert not mixed[0].attention.sublayer._forward_hooks
