"""Places of modules, found by role."""

import pytest
import transformers

from omnitrain.errors import UsageError
from omnitrain_tuning.blocks import find_blocks
from omnitrain_tuning.lora import LoraPet


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
