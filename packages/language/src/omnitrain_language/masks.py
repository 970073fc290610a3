"""Attention masks for packed rows and prefixes, and a hook by which Hugging Face models accept them as batch fields.

Models built by this package take `segment_ids` and `prefix_mask` (decoder-only), or `input_segment_ids` and
`target_segment_ids` (encoder-decoder), beside their own arguments. A position never sees another segment, and no
row of a mask is empty: padding sees padding, so that softmax stays finite.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from omnitrain.api import Batch
from omnitrain.errors import UsageError
from omnitrain_language.belonging import check_length, positions_of

DECODER_FIELDS = ("segment_ids", "prefix_mask")
SEQ2SEQ_FIELDS = ("input_segment_ids", "target_segment_ids")


def same_segment(queries: Tensor, keys: Tensor) -> Tensor:
    """Return bool[batch, 1, query, key]: true where both belong to one segment. Both int64[batch, length]."""
    return (queries[:, :, None] == keys[:, None, :])[:, None]


def causal_mask(
    length: int,
    segment_ids: Tensor | None = None,
    prefix_mask: Tensor | None = None,
    attention_mask: Tensor | None = None,
    device: torch.device | None = None,
) -> Tensor:
    """Return bool[batch, 1, length, length]: which keys (last) a query may see (UL2 section 3.2).

    Query i sees key j iff they share a segment and (j <= i or both are in the prefix) and j is no padding.
    segment_ids: int64[batch, length], 0 for padding. prefix_mask, attention_mask: bool[batch, length].
    """
    position = torch.arange(length, device=device)
    allowed = (position[None, :] <= position[:, None])[None, None]
    if prefix_mask is not None:
        prefix = prefix_mask.bool()
        allowed = allowed | (prefix[:, None, :, None] & prefix[:, None, None, :])
    if segment_ids is not None:
        allowed = allowed & same_segment(segment_ids, segment_ids)
    if attention_mask is not None:
        # A padding position sees itself: a query without any key would give NaN.
        itself = position[None, :] == position[:, None]
        allowed = (allowed & attention_mask.bool()[:, None, None, :]) | itself
    return allowed


def cross_mask(target_segment_ids: Tensor, input_segment_ids: Tensor) -> Tensor:
    """Return bool[batch, 1, target, input]: a target sees the inputs of its own segment; padding sees everything."""
    return same_segment(target_segment_ids, input_segment_ids) | (target_segment_ids == 0)[:, None, :, None]


def for_attention(model: nn.Module, allowed: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the form of a mask that the model's attention takes: bool for sdpa, additive for eager.

    Raises UsageError for other implementations, which would ignore such a mask.
    """
    config: Any = model.config
    implementation = config._attn_implementation
    if implementation == "sdpa":
        return allowed
    if implementation == "eager":
        zero = torch.zeros((), dtype=dtype, device=allowed.device)
        return torch.where(allowed, zero, torch.finfo(dtype).min)
    raise UsageError(f"attention {implementation!r} takes no mask per pair of positions: set attention to sdpa or eager")


def _weight_dtype(model: nn.Module) -> torch.dtype:
    return next(model.parameters()).dtype


def _check_rows(module: nn.Module, ids: Any, positions: Any = None) -> None:
    """Refuse rows longer than the model's positions, which would be an IndexError far below. Raises UsageError.

    positions: explicit ones, which begin anew with each document of a packed row.
    """
    if not isinstance(ids, Tensor) or ids.ndim != 2:
        return
    limit = positions_of(module.config)
    if limit is not None and ids.shape[1] > limit:
        longest = ids.shape[1] if positions is None else 1 + int(positions.max())
        check_length(module.config, longest, "length")


def _decoder_hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    kwargs = dict(kwargs)
    _check_rows(module, kwargs.get("input_ids"), kwargs.get("position_ids"))
    segment_ids, prefix_mask = (kwargs.pop(name, None) for name in DECODER_FIELDS)
    config: Any = module.config
    if not getattr(config, "prefix_attention", False):
        prefix_mask = None
    if segment_ids is not None or prefix_mask is not None:
        input_ids = kwargs["input_ids"]
        allowed = causal_mask(input_ids.shape[1], segment_ids, prefix_mask, kwargs.get("attention_mask"), input_ids.device)
        allowed = allowed.expand(input_ids.shape[0], -1, -1, -1)
        kwargs["attention_mask"] = for_attention(module, allowed, _weight_dtype(module))
    return args, kwargs


def _seq2seq_hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    kwargs = dict(kwargs)
    _check_rows(module, kwargs.get("input_ids"))
    _check_rows(module, kwargs.get("decoder_input_ids"))
    inputs, targets = (kwargs.pop(name, None) for name in SEQ2SEQ_FIELDS)
    if (inputs is None) != (targets is None):
        raise ValueError("input_segment_ids and target_segment_ids belong together")
    if inputs is not None:
        dtype = _weight_dtype(module)
        adapted: Any = module
        base = adapted.get_base_model() if hasattr(adapted, "get_base_model") else adapted
        own = for_attention(module, same_segment(inputs, inputs), dtype)
        # Encoder and cross attention need different masks, but the model takes one for both: run the encoder here.
        kwargs["encoder_outputs"] = base.get_encoder()(input_ids=kwargs.pop("input_ids"), attention_mask=own)
        kwargs["attention_mask"] = for_attention(module, cross_mask(targets, inputs), dtype)
        causal = causal_mask(targets.shape[1], targets, device=targets.device)
        kwargs["decoder_attention_mask"] = for_attention(module, causal, dtype)
    return args, kwargs


@contextmanager
def prompts_as_prefixes(model: nn.Module, mask: Tensor) -> Iterator[None]:
    """Let the first pass of a decoder-only model over prompts be one over prefixes while the block runs.

    mask: bool[prompts, length], true where a prompt has tokens; a pass over several rows of each prompt is one of them too.
    """

    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        cache = kwargs.get("past_key_values")
        if cache is None or not cache.get_seq_length():
            whole = mask.repeat_interleave(len(kwargs["input_ids"]) // len(mask), dim=0)
            kwargs = {**kwargs, "prefix_mask": whole, "attention_mask": whole}
        return _decoder_hook(module, args, kwargs)

    handle = model.register_forward_pre_hook(hook, prepend=True, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def accept_masks(model: nn.Module) -> nn.Module:
    """Let a Hugging Face model, adapters included, take segment ids and prefix masks as keyword arguments.

    A forward hook does it, so that wrappers (DDP, FSDP, compile) and checkpoints of the model are untouched.
    """
    config: Any = model.config
    hook = _seq2seq_hook if config.is_encoder_decoder else _decoder_hook
    model.register_forward_pre_hook(hook, with_kwargs=True)
    return model


def accepts_masks(model: nn.Module) -> bool:
    """True when the model, or what a wrapper holds, was given to `accept_masks`."""
    hooks = (_seq2seq_hook, _decoder_hook)
    return any(hook in hooks for module in model.modules() for hook in module._forward_pre_hooks.values())


def model_config(model: nn.Module) -> Any:
    """Return the Hugging Face config of a model, also inside wrappers of compilation and several processes."""
    inner = getattr(model, "_orig_mod", model)
    return getattr(getattr(inner, "module", inner), "config", None)


def _check_decoder_inputs(model: nn.Module, batch: Batch) -> None:
    """Refuse targets behind another start than the model's, and packed ones that its positions count on through."""
    config = model_config(model)
    start, inputs = getattr(config, "decoder_start_token_id", None), batch["decoder_input_ids"]
    if start is not None and inputs.device.type != "meta":
        others = inputs[:, 0][(inputs[:, 0] != start) & (batch["loss_weights"] != 0).any(dim=1)]
        if len(others):
            raise UsageError(
                f"the batches start the decoder from id {int(others[0])}, the model from {start} (decoder_start_token_id): "
                "make decoder_input_ids of this id and the labels but for the last"
            )
    if SEQ2SEQ_FIELDS[0] in batch and positions_of(config) is not None:
        raise UsageError(
            "the rows are packed, and this model's positions would count on from one example to the next: set pack of the data "
            "to false, or take a model with relative positions, such as T5"
        )


def check_masks(model: nn.Module, batch: Batch) -> None:
    """Refuse a model of the other kind, and one that would silently ignore the segments or prefixes of a batch.

    Raises UsageError.
    """
    two_sided = bool(getattr(model_config(model), "is_encoder_decoder", False))
    if two_sided != ("decoder_input_ids" in batch):
        kinds = ("an encoder-decoder", "a decoder-only model")
        wanted = kinds if "decoder_input_ids" in batch else kinds[::-1]
        raise UsageError(
            f"the batches are made for {wanted[0]} and the model is {wanted[1]}: take language/t5 with encoder-decoder "
            "batches, language/causal with decoder-only ones (setting `layout` of the data)"
        )
    if two_sided:
        _check_decoder_inputs(model, batch)
    fields = [name for name in (*DECODER_FIELDS, *SEQ2SEQ_FIELDS) if name in batch]
    if fields and not accepts_masks(model):
        raise UsageError(
            f"the model would ignore {', '.join(fields)}: build it as language/t5 or language/causal, or call "
            f"omnitrain_language.masks.accept_masks on it"
        )
