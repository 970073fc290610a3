"""Models `language/t5` and `language/causal`: Hugging Face models, with random weights or from a folder or the hub."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
import transformers
from torch import nn

from omnitrain.api import Context
from omnitrain.errors import DataError, UsageError, said_by
from omnitrain_language.adapters import add_adapters
from omnitrain_language.configs.models import CausalConfig, PretrainedConfig, T5Config
from omnitrain_language.masks import accept_masks
from omnitrain_language.presets import CAUSAL_SIZES, T5_SIZES

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Bars of transformers would break the run's own progress lines.
transformers.utils.logging.disable_progress_bar()

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@contextmanager
def _seeded(context: Context) -> Iterator[None]:
    """Draw initial weights from the context's seed and leave the global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(context.seed("weights"))
        yield


def _vocabulary_rows(config: PretrainedConfig, context: Context, otherwise: int) -> int:
    ids = int(context.facts.get("vocabulary_size", otherwise))
    size = config.vocabulary_size or ids
    if size < ids and "vocabulary_size" in context.facts:
        raise UsageError(f"vocabulary_size {size} is smaller than the tokenizer, which has {ids} ids; leave it out")
    return size + -size % config.pad_vocabulary_to


def _ids(context: Context) -> dict[str, int]:
    return {"pad_token_id": int(context.facts.get("pad_id", 0)), "eos_token_id": int(context.facts.get("eos_id", 1))}


def _cast(model: nn.Module, config: PretrainedConfig) -> Any:
    return model.to(_DTYPES[config.dtype])


def random_t5(config: T5Config, context: Context) -> PreTrainedModel:
    """Make a T5 1.1 with random weights; call it inside a seeded block."""
    from transformers import T5Config as Architecture
    from transformers import T5ForConditionalGeneration

    size = T5_SIZES[config.size]
    ids = _ids(context)
    architecture = Architecture(
        vocab_size=_vocabulary_rows(config, context, 32128),
        d_model=size.width,
        d_kv=size.head,
        d_ff=size.feed_forward,
        num_layers=size.layers,
        num_heads=size.heads,
        dropout_rate=config.dropout,
        feed_forward_proj="gated-silu",
        layer_norm_epsilon=1e-6,
        tie_word_embeddings=False,
        decoder_start_token_id=ids["pad_token_id"],
        attn_implementation=config.attention,
        **ids,
    )
    model = T5ForConditionalGeneration(architecture)
    # transformers 5 ties the head of every new T5 and reads "untied" off the checkpoint's weights. T5X draws an untied
    # head with variance 1/width (fan in); transformers' own variance 1 would start with logits of size sqrt(width).
    head = torch.empty_like(model.lm_head.weight).normal_(std=size.width**-0.5)
    model.lm_head.weight = nn.Parameter(head)
    model.all_tied_weights_keys.pop("lm_head.weight", None)
    model.config.tie_word_embeddings = False
    return _cast(model, config)


def random_causal(config: CausalConfig, context: Context) -> PreTrainedModel:
    """Make a decoder-only model with random weights; call it inside a seeded block."""
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    size = CAUSAL_SIZES[config.size]
    ids = _ids(context)
    ids["bos_token_id"] = ids["eos_token_id"]
    vocabulary = _vocabulary_rows(config, context, 50257 if config.style == "gpt2" else 32000)
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
            attn_implementation=config.attention,
            **ids,
        )
        return _cast(GPT2LMHeadModel(gpt2), config)
    if config.dropout:
        raise UsageError("dropout: Llama-style models have none; set it to 0 or choose style: gpt2")
    feed_forward = 8 * size.width // 3
    llama = LlamaConfig(
        vocab_size=vocabulary,
        max_position_embeddings=config.max_length,
        hidden_size=size.width,
        intermediate_size=feed_forward + -feed_forward % 64,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        tie_word_embeddings=True,
        attn_implementation=config.attention,
        # A padding id would freeze that row of the embedding; where it equals eos, eos would never be learned.
        **{**ids, "pad_token_id": None},
    )
    return _cast(LlamaForCausalLM(llama), config)


def _dropout_settings(architecture: Any, rate: float) -> dict[str, float]:
    names = ("dropout_rate", "resid_pdrop", "embd_pdrop", "attn_pdrop", "attention_dropout", "dropout")
    return {name: rate for name in names if hasattr(architecture, name)}


def load_pretrained(config: PretrainedConfig, context: Context, auto: Any) -> PreTrainedModel:
    """Load a model from `config.path` by one of transformers' auto classes; on the meta device only its shape.

    Raises DataError when there is no such model or weights are missing, UsageError for a tokenizer of another model.
    """
    from transformers import AutoConfig

    assert config.path is not None
    settings: dict[str, Any] = {"revision": config.revision, "trust_remote_code": False}
    missing: Iterable[str] = ()
    try:
        architecture = AutoConfig.from_pretrained(config.path, **settings)
        for name, rate in _dropout_settings(architecture, config.dropout).items():
            setattr(architecture, name, rate)
        shape = {"config": architecture, "attn_implementation": config.attention, "dtype": _DTYPES[config.dtype]}
        if torch.get_default_device().type == "meta":
            model = auto.from_config(**shape)
        else:
            with _own_words():
                model, found = auto.from_pretrained(
                    config.path, **settings, **shape, use_safetensors=True, output_loading_info=True
                )
            missing = found["missing_keys"]
    except (OSError, ValueError) as error:
        pickled = "; only safetensors are read, since other weight files can run code: convert it with transformers first"
        advice = pickled if "safetensors" in str(error) else ""
        raise DataError(f"model {config.path}: could not be loaded ({said_by(error)}){advice}") from error
    check_missing(config.path, missing)
    head = model.get_output_embeddings()
    if head is not None and head.weight is not model.get_input_embeddings().weight:
        # transformers 5 sets this to true for every T5 and UMT5. Then UMT5 scales its outputs, which only models with a tied
        # head were trained with, and growing the vocabulary replaces the head by the embedding.
        model.config.tie_word_embeddings = False
    grow_vocabulary(model, config, context)
    return model


@contextmanager
def _own_words() -> Iterator[None]:
    """Keep transformers' report of loading back, since what matters of it is said or refused here."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def check_missing(path: str, missing: Iterable[str]) -> None:
    """Warn about final layer norms that a checkpoint lacks, and refuse it when it lacks anything else.

    The dictionary of the 20 B UL2 model was converted without one; such a norm stays at its initial scale of 1.
    Raises DataError.
    """
    names = sorted(missing)
    others = [name for name in names if not name.endswith("final_layer_norm.weight")]
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        raise DataError(
            f"model {path}: the checkpoint lacks {', '.join(others[:3])}{more}; it is incomplete or of another architecture"
        )
    if names:
        warnings.warn(
            f"model {path}: the checkpoint lacks {', '.join(names)}; it was set to 1, which is right only for checkpoints that "
            "were converted without it, such as UL2 20B. Compare the model's outputs with published ones",
            stacklevel=2,
        )


def grow_vocabulary(model: PreTrainedModel, config: PretrainedConfig, context: Context) -> None:
    """Give the embedding of a loaded model rows for tokens that were added to its tokenizer.

    Rows beyond the tokenizer's ids, which many models are padded with, stay. Raises UsageError where the model has fewer
    rows than its tokenizer had before.
    """
    rows, wanted = model.get_input_embeddings().weight.shape[0], _vocabulary_rows(config, context, 0)
    own = int(context.facts.get("unextended_size", 0))
    if rows < own:
        raise UsageError(
            f"model {config.path} has {rows} rows of embeddings, but the tokenizer had {own} ids before any was added: it "
            f"belongs to another model; set tokenizer.path to {config.path}"
        )
    if wanted > rows:
        model.resize_token_embeddings(wanted, mean_resizing=False)


def _finish(model: PreTrainedModel, config: PretrainedConfig) -> Any:
    if config.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return accept_masks(add_adapters(model, config))


def build_t5(config: T5Config, context: Context) -> Any:
    """Make the model `language/t5`: T5, or any encoder-decoder by path. Works on the meta device."""
    from transformers import AutoModelForSeq2SeqLM

    with _seeded(context):
        if config.path is None:
            return _finish(random_t5(config, context), config)
        return _finish(load_pretrained(config, context, AutoModelForSeq2SeqLM), config)


def build_causal(config: CausalConfig, context: Context) -> Any:
    """Make the model `language/causal`: GPT-2, Llama, or any decoder-only model by path. Works on the meta device."""
    from transformers import AutoModelForCausalLM

    with _seeded(context):
        if config.path is None:
            model = random_causal(config, context)
        else:
            model = load_pretrained(config, context, AutoModelForCausalLM)
        model.config.prefix_attention = config.prefix_attention
        return _finish(model, config)
