"""Models `language/t5` and `language/causal`: Hugging Face models, with random weights or from a folder or the hub."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
import transformers
from torch import nn

from omnitrain.api import Context
from omnitrain.errors import UsageError
from omnitrain_language.adapters import add_adapters
from omnitrain_language.belonging import check_facts, check_start, set_fit
from omnitrain_language.configs.models import CausalConfig, PretrainedConfig, T5Config
from omnitrain_language.loading import DTYPES, load_pretrained, untie, vocabulary_rows
from omnitrain_language.masks import accept_masks
from omnitrain_language.presets import BART_SIZES, CAUSAL_SIZES, T5_SIZES

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Bars of transformers would break the run's own progress lines.
transformers.utils.logging.disable_progress_bar()


@contextmanager
def _seeded(context: Context) -> Iterator[None]:
    """Draw initial weights from the context's seed and leave the global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(context.seed("weights"))
        yield


def _ids(context: Context) -> dict[str, int]:
    return {"pad_token_id": int(context.facts.get("pad_id", 0)), "eos_token_id": int(context.facts.get("eos_id", 1))}


def _cast(model: nn.Module, config: PretrainedConfig) -> Any:
    return model.to(DTYPES[config.dtype])


def random_t5(config: T5Config, context: Context) -> PreTrainedModel:
    """Make a T5 1.1 with random weights; call it inside a seeded block."""
    from transformers import T5Config as Architecture
    from transformers import T5ForConditionalGeneration

    size = T5_SIZES[config.size]
    ids = _ids(context)
    architecture = Architecture(
        vocab_size=vocabulary_rows(config, context, 32128),
        d_model=size.width,
        d_kv=size.head,
        d_ff=size.feed_forward,
        num_layers=size.layers,
        num_heads=size.heads,
        dropout_rate=config.dropout,
        feed_forward_proj="gated-silu",
        layer_norm_epsilon=1e-6,
        tie_word_embeddings=False,
        decoder_start_token_id=int(context.facts.get("decoder_start_id", ids["pad_token_id"])),
        attn_implementation=config.attention,
        **ids,
    )
    model = T5ForConditionalGeneration(architecture)
    # transformers 5 ties the head of every new T5 and reads "untied" off the checkpoint's weights. T5X draws an untied
    # head with variance 1/width (fan in); transformers' own variance 1 would start with logits of size sqrt(width).
    untie(model)
    nn.init.normal_(model.lm_head.weight, std=size.width**-0.5)
    return _cast(model, config)


def random_bart(config: T5Config, context: Context) -> PreTrainedModel:
    """Make a BART with random weights; call it inside a seeded block.

    Its decoder starts from what the data tell, else from its end of text as the published models do.
    """
    from transformers import BartConfig, BartForConditionalGeneration

    size = BART_SIZES[config.size]
    ids = _ids(context)
    eos = ids["eos_token_id"]
    front = context.facts.get("target_start_ids") or [eos]
    architecture = BartConfig(
        vocab_size=vocabulary_rows(config, context, 50265),
        max_position_embeddings=config.max_length,
        d_model=size.width,
        encoder_layers=size.layers,
        decoder_layers=size.layers,
        encoder_ffn_dim=size.feed_forward,
        decoder_ffn_dim=size.feed_forward,
        encoder_attention_heads=size.heads,
        decoder_attention_heads=size.heads,
        dropout=config.dropout,
        attention_dropout=config.dropout,
        bos_token_id=int(front[0]),
        decoder_start_token_id=int(context.facts.get("decoder_start_id", eos)),
        forced_eos_token_id=eos,
        attn_implementation=config.attention,
        **ids,
    )
    return _cast(BartForConditionalGeneration(architecture), config)


def random_causal(config: CausalConfig, context: Context) -> PreTrainedModel:
    """Make a decoder-only model with random weights; call it inside a seeded block."""
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    size = CAUSAL_SIZES[config.size]
    ids = _ids(context)
    ids["bos_token_id"] = ids["eos_token_id"]
    vocabulary = vocabulary_rows(config, context, 50257 if config.style == "gpt2" else 32000)
    if config.style == "gpt2":
        gpt2 = GPT2Config(
            vocab_size=vocabulary,
            n_positions=config.max_length,
            n_embd=size.width,
            n_layer=size.layers,
            n_head=size.heads,
            # The same function as GPT-2's own gelu_new, in one kernel.
            activation_function="gelu_pytorch_tanh",
            resid_pdrop=config.dropout,
            embd_pdrop=config.dropout,
            attn_pdrop=config.dropout,
            tie_word_embeddings=not config.untied,
            attn_implementation=config.attention,
            **ids,
        )
        return _cast(GPT2LMHeadModel(gpt2), config)
    if config.dropout:
        raise UsageError("dropout: Llama-style models have none; set it to 0 or choose style: gpt2")
    feed_forward = size.feed_forward or 8 * size.width // 3
    llama = LlamaConfig(
        vocab_size=vocabulary,
        max_position_embeddings=config.max_length,
        hidden_size=size.width,
        intermediate_size=feed_forward + -feed_forward % 64,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.key_value_heads,
        tie_word_embeddings=not config.untied,
        attn_implementation=config.attention,
        # A padding id would freeze that row of the embedding; where it equals eos, eos would never be learned.
        **{**ids, "pad_token_id": None},
    )
    return _cast(LlamaForCausalLM(llama), config)


def finish(model: Any, config: PretrainedConfig, context: Context) -> Any:
    """Return a new or loaded model as it is trained: its own head, adapters, masks, gradient checkpointing, checked against
    the data.

    Raises UsageError for rows longer than its positions and for adapters that fit no layer.
    """
    if isinstance(config, CausalConfig):
        model.config.prefix_attention = config.prefix_attention
        if config.untied:
            untie(model)
    check_facts(model, context.facts, new=config.path is None)
    check_start(model, context.facts)
    if config.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    name = "the model" if config.path is None else f"model {config.path}"
    whole = accept_masks(add_adapters(model, config, context))
    return set_fit(whole, name, context.facts.get("tokens"))


def build_t5(config: T5Config, context: Context) -> Any:
    """Make the model `language/t5`: T5, BART, or any encoder-decoder by path. Works on the meta device."""
    from transformers import AutoModelForSeq2SeqLM

    with _seeded(context):
        if config.path is None:
            made = random_bart(config, context) if config.style == "bart" else random_t5(config, context)
            return finish(made, config, context)
        return finish(load_pretrained(config, context, AutoModelForSeq2SeqLM), config, context)


def build_causal(config: CausalConfig, context: Context, prepare: Callable[[Any], None] | None = None) -> Any:
    """Make the model `language/causal`: GPT-2, Llama, or any decoder-only model by path. Works on the meta device.

    prepare: called with the model before it gets adapters.
    """
    from transformers import AutoModelForCausalLM

    with _seeded(context):
        if config.path is None:
            model = random_causal(config, context)
        else:
            model = load_pretrained(config, context, AutoModelForCausalLM)
        if prepare is not None:
            prepare(model)
        return finish(model, config, context)
