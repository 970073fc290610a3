"""Model `eft/causal`: decoder-only models of any shape, so that pairs of two sizes can be made from one corpus."""

from __future__ import annotations

from typing import Any

import torch

from omnitrain.api import Context
from omnitrain_eft.configs.models import ShapedCausalConfig
from omnitrain_eft.models.eight_bit import InEightBit
from omnitrain_language.loading import load_pretrained
from omnitrain_language.models import build_causal, finish
from omnitrain_language.presets import CAUSAL_SIZES

# The published config.json of each family, as far as it decides about shapes.
_LLAMA: dict[str, dict[str, int]] = {
    "llama-2-7b": {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32},
    "llama-2-13b": {"hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40, "num_attention_heads": 40},
    "llama-2-70b": {
        "hidden_size": 8192,
        "intermediate_size": 28672,
        "num_hidden_layers": 80,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
    },
}
_FALCON: dict[str, dict[str, Any]] = {
    "falcon-7b": {"hidden_size": 4544, "num_hidden_layers": 32, "num_attention_heads": 71, "multi_query": True},
    "falcon-40b": {"hidden_size": 8192, "num_hidden_layers": 60, "num_attention_heads": 128, "num_kv_heads": 8},
    "falcon-180b": {"hidden_size": 14848, "num_hidden_layers": 80, "num_attention_heads": 232, "num_kv_heads": 8},
}


def released_config(architecture: str) -> Any:
    """Return the transformers config of a released architecture, from its name alone."""
    from transformers import FalconConfig, LlamaConfig

    if architecture in _LLAMA:
        shape = _LLAMA[architecture]
        return LlamaConfig(
            vocab_size=32000, max_position_embeddings=4096, tie_word_embeddings=False, pad_token_id=None, **shape
        )
    falcon = dict(_FALCON[architecture])
    falcon.setdefault("new_decoder_architecture", architecture != "falcon-7b")
    return FalconConfig(vocab_size=65024, bias=False, parallel_attn=True, alibi=False, max_position_embeddings=2048, **falcon)


def released_shape(architecture: str, dtype: torch.dtype = torch.float32) -> Any:
    """Return a released architecture on the meta device: its parameters take neither memory nor time."""
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(released_config(architecture), dtype=dtype)


def _own_shape(config: ShapedCausalConfig, context: Context) -> Any:
    """Return a model of a width and depth of its own with random weights."""
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    preset = CAUSAL_SIZES[config.size]
    width, layers = config.width or preset.width, config.layers or preset.layers
    heads = config.heads or next(h for h in (preset.heads, 4, 2, 1) if width % h == 0)
    eos = int(context.facts.get("eos_id", 1))
    vocabulary = config.vocabulary_size or int(context.facts.get("vocabulary_size", 1024))
    vocabulary += -vocabulary % config.pad_vocabulary_to
    if config.style == "gpt2":
        return GPT2LMHeadModel(
            GPT2Config(
                vocab_size=vocabulary,
                n_positions=config.max_length,
                n_embd=width,
                n_layer=layers,
                n_head=heads,
                # The same function as GPT-2's own gelu_new, in one kernel.
                activation_function="gelu_pytorch_tanh",
                resid_pdrop=config.dropout,
                embd_pdrop=config.dropout,
                attn_pdrop=config.dropout,
                tie_word_embeddings=not config.untied,
                attn_implementation=config.attention,
                pad_token_id=int(context.facts.get("pad_id", 0)),
                bos_token_id=eos,
                eos_token_id=eos,
            )
        )
    hidden = 8 * width // 3
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            max_position_embeddings=config.max_length,
            hidden_size=width,
            intermediate_size=hidden + -hidden % 64,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            tie_word_embeddings=not config.untied,
            attn_implementation=config.attention,
            pad_token_id=None,
            bos_token_id=eos,
            eos_token_id=eos,
        )
    )


def build(config: ShapedCausalConfig, context: Context) -> Any:
    """Make the model `eft/causal`. On the meta device a released architecture needs no file of its weights."""
    meta = torch.get_default_device().type == "meta"
    if config.architecture is not None and (meta or config.path is None):
        from transformers import AutoModelForCausalLM

        dtype = torch.float32 if config.dtype == "float32" else torch.bfloat16
        return finish(AutoModelForCausalLM.from_config(released_config(config.architecture), dtype=dtype), config, context)
    if config.dtype == "int8":
        return _loaded_in_8bit(config, context)
    if config.path is not None or (config.width is None and config.layers is None and config.heads is None):
        return build_causal(config, context)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(context.seed("weights"))
        model = _own_shape(config, context)
        if config.dtype == "bfloat16":
            model = model.to(torch.bfloat16)
        return finish(model, config, context)


def _loaded_in_8bit(config: ShapedCausalConfig, context: Context) -> Any:
    """Return the model of a path in 8 bit; nothing of it can be trained."""
    from transformers import AutoModelForCausalLM

    rest = config.model_copy(update={"dtype": "bfloat16"})
    model: Any = load_pretrained(rest, context, InEightBit(AutoModelForCausalLM))
    return finish(model.requires_grad_(False), config, context)
