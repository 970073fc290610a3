"""One language model with its own cache: read prompts once, append tokens, take some of them back per row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

from omnitrain.errors import UsageError
from omnitrain_language.belonging import positions_of
from omnitrain_language.decoding import left_padded

_ROOM = 64


class RollbackLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values in a buffer with room: appending copies the new entries only, taking back moves the end."""

    keys: Any
    values: Any
    _key_room: Tensor | None = None
    _value_room: Tensor | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append entries [rows, heads, new, width]; return all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        held = self.get_seq_length()
        end = held + key_states.shape[-2]
        self._key_room = _with_room(self._key_room, self.keys, key_states, held, end)
        self._value_room = _with_room(self._value_room, self.values, value_states, held, end)
        self._key_room[..., held:end, :] = key_states
        self._value_room[..., held:end, :] = value_states
        self.keys, self.values = self._key_room[..., :end, :], self._value_room[..., :end, :]
        return self.keys, self.values


def _with_room(buffer: Tensor | None, held_states: Tensor, new: Tensor, held: int, end: int) -> Tensor:
    """Return a buffer whose first `held` entries are the held ones and that has room up to `end`."""
    fits = buffer is not None and buffer.shape[-2] >= end and buffer.shape[:2] == new.shape[:2]
    # After a reordering the held entries live in memory of their own.
    if fits and buffer is not None and (held == 0 or held_states.data_ptr() == buffer.data_ptr()):
        return buffer
    grown = new.new_empty((*new.shape[:2], end + max(_ROOM, end // 2), new.shape[-1]))
    if held:
        grown[..., :held, :] = held_states
    return grown


def new_cache(config: Any) -> Cache:
    """Return an empty cache for a model; one that can be rolled back where all its layers attend to everything."""
    plain = DynamicCache(config=config)
    if plain.layers and all(type(layer) is DynamicLayer for layer in plain.layers):
        return Cache(layers=[RollbackLayer() for _ in plain.layers])
    return plain


def can_roll_back(cache: Cache) -> bool:
    """Whether tokens can be taken back per row: sliding windows and recurrent states can't."""
    return bool(cache.layers) and all(isinstance(layer, RollbackLayer) for layer in cache.layers)


class CachedModel:
    """A decoder-only model with its cache, for a batch of rows of different lengths.

    Tokens that a row takes back stay as masked gaps while other rows keep theirs; positions count real tokens only.
    tokens_read and passes count what was given to forward passes, gaps and padding included.
    """

    def __init__(self, model: nn.Module, pad: int, name: str = "model") -> None:
        self.model, self.pad, self.name = model, pad, name
        self.config: Any = model.config
        if getattr(self.config, "prefix_attention", False):
            raise UsageError(f"{name}: a model with prefix attention can't be composed; take a causal one")
        self.cache: Cache = new_cache(self.config)
        self._mask = torch.zeros(0)
        self._lengths = torch.zeros(0)
        self._dense = True
        # Stacked models have a table of positions for each group of rows.
        self._explicit = hasattr(model, "stacked_groups")
        self.tokens_read = 0
        self.passes = 0

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @property
    def width(self) -> int:
        """Columns of the cache, gaps and padding included."""
        return int(self._mask.shape[1])

    def start(self, prompts: Sequence[Sequence[int]], positions: int = 1) -> Tensor:
        """Read prompts in one pass; return logits [rows, positions, vocabulary] of the last positions.

        Raises UsageError for an empty prompt and for one that is longer than the model's positions.
        """
        limit = positions_of(self.config)
        for number, prompt in enumerate(prompts):
            if not len(prompt):
                raise UsageError(f"prompt {number} of {self.name} is empty: begin it with the start token, or give some text")
            if limit is not None and len(prompt) >= limit:
                raise UsageError(
                    f"prompt {number} of {self.name} has {len(prompt)} tokens, the model has positions for {limit}: shorten it"
                )
        ids, mask = left_padded(prompts, self.pad, self.device)
        self.cache = new_cache(self.config)
        self._mask, self._lengths = mask, mask.sum(dim=1)
        self._dense = bool(mask.all())
        return self._forward(ids, (mask.cumsum(-1) - 1).clamp(min=0), positions)

    def extend(self, tokens: Tensor) -> Tensor:
        """Append tokens int64[rows, new]; return logits [rows, new, vocabulary] behind each of them."""
        new = tokens.shape[1]
        position = self._lengths[:, None] + torch.arange(new, device=tokens.device)
        if not self._dense:
            self._mask = torch.cat([self._mask, self._mask.new_ones((len(tokens), new))], dim=1)
        else:
            self._mask = self._mask.new_ones(()).expand(len(tokens), self.width + new)
        self._lengths = self._lengths + new
        return self._forward(tokens, position, new)

    def _forward(self, ids: Tensor, position: Tensor, positions: int) -> Tensor:
        self.tokens_read += ids.numel()
        self.passes += 1
        # Without a mask transformers warns about genuine pads; on a GPU a mask of ones costs a wait for the device.
        masked = not self._dense or ids.device.type == "cpu"
        where: dict[str, Any] = {"attention_mask": self._mask} if masked else {}
        if not self._dense or self._explicit:
            where["position_ids"] = position
        out = self.model(input_ids=ids, past_key_values=self.cache, use_cache=True, logits_to_keep=positions, **where)
        logits: Tensor = out.logits
        return logits[:, -positions:]

    def keep(self, counts: Tensor, columns: int) -> None:
        """Take back what was appended last: of the last columns each row keeps the first counts[row], int64[rows].

        Raises UsageError where the cache can't be rolled back.
        """
        most = int(counts.max())
        same = int(counts.min()) == most
        if same and most == columns:
            return
        self.check_rollback()
        start = self.width - columns
        surplus = columns - most
        if surplus:
            self.cache.crop(-surplus)
        if same and self._dense:
            self._mask = self._mask[:, : start + most]
        else:
            fresh = torch.arange(most, device=counts.device) < counts[:, None]
            self._mask = torch.cat([self._mask[:, :start], fresh], dim=1)
            self._dense = False
        self._lengths = self._lengths - columns + counts
        self._close_gaps()

    def _close_gaps(self) -> None:
        """Move the columns of each row together once most of the cache is gaps, so that it does not grow without end."""
        if self._dense:
            return
        longest = int(self._lengths.max())
        if self.width <= 2 * longest + _ROOM:
            return
        order = torch.argsort(self._mask.to(torch.int8), dim=1, stable=True)[:, -longest:]
        self._mask = self._mask.gather(1, order)
        for layer in self.cache.layers:
            index = order[:, None, :, None].expand(-1, layer.keys.shape[1], -1, layer.keys.shape[3])
            layer.keys = layer.keys.gather(2, index)
            layer.values = layer.values.gather(2, index[..., :1].expand(-1, -1, -1, layer.values.shape[3]))

    def check_rollback(self) -> None:
        """Refuse caches that can't be rolled back.

        Raises UsageError.
        """
        if not can_roll_back(self.cache):
            raise UsageError(
                f"{self.name} ({self.config.model_type}) has a cache that can't take tokens back (sliding window or recurrent "
                "layers), so speculative decoding would be wrong: set block_size to 0"
            )

    def reorder(self, index: Tensor) -> None:
        """Let row i go on from what was row index[i], int64[rows]."""
        if len(index) == len(self._lengths) and bool((index == torch.arange(len(index), device=index.device)).all()):
            return
        self.cache.reorder_cache(index)
        self._mask, self._lengths = self._mask[index], self._lengths[index]
