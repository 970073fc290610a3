"""Cached decoding: what gives logits step by step, and the loop that turns them into tokens.

A method that mixes several models while decoding is another `Decoder`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from omnitrain_language.sampling import GenerationSettings, choose, uniform_draws

OnToken = Callable[[int, int], None]


class Decoder(Protocol):
    """Gives the logits of the next token, float32[batch, vocabulary]."""

    def start(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Read the prompts; return the logits of their first new tokens."""

    def step(self, tokens: Tensor) -> Tensor:
        """Append one token to each row, int64[batch]; return the next logits."""


def left_padded(prompts: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return (ids int64[batch, longest], mask bool) with the padding in front."""
    width = max(len(p) for p in prompts)
    ids = torch.tensor([[pad] * (width - len(p)) + list(p) for p in prompts], device=device)
    mask = torch.tensor([[False] * (width - len(p)) + [True] * len(p) for p in prompts], device=device)
    return ids, mask


class CausalDecoder:
    """A decoder-only model with its cache; a prompt is a prefix where the model has prefix attention."""

    def __init__(self, model: nn.Module, pad: int) -> None:
        self._model, self._pad = model, pad
        self._cache: Any = None
        self._mask = torch.zeros(0)
        self._position = torch.zeros(0)

    def start(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Read the prompts in one pass. Raises ValueError for an empty prompt."""
        if not all(len(p) for p in prompts):
            raise ValueError("a decoder-only model can't continue an empty prompt: begin it with the start token")
        ids, mask = left_padded(prompts, self._pad, next(self._model.parameters()).device)
        position = (mask.cumsum(-1) - 1).clamp(min=0)
        config: Any = self._model.config
        prefix = {"prefix_mask": mask} if getattr(config, "prefix_attention", False) else {}
        out = self._model(input_ids=ids, attention_mask=mask, position_ids=position, use_cache=True, logits_to_keep=1, **prefix)
        self._cache, self._mask, self._position = out.past_key_values, mask, position[:, -1:]
        return _last(out.logits)

    def step(self, tokens: Tensor) -> Tensor:
        """Append one token to each row."""
        self._mask = torch.cat([self._mask, torch.ones_like(self._mask[:, :1])], dim=1)
        self._position = self._position + 1
        out = self._model(
            input_ids=tokens[:, None],
            attention_mask=self._mask,
            position_ids=self._position,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self._cache = out.past_key_values
        return _last(out.logits)


class Seq2SeqDecoder:
    """An encoder-decoder with its cache."""

    def __init__(self, model: nn.Module, pad: int) -> None:
        self._model, self._pad = model, pad
        self._encoded: dict[str, Any] = {}
        self._cache: Any = None

    def start(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Encode the prompts and read the decoder's start token."""
        device = next(self._model.parameters()).device
        width = max(1, *(len(p) for p in prompts))
        ids = torch.tensor([list(p) + [self._pad] * (width - len(p)) for p in prompts], device=device)
        mask = torch.tensor([[i < len(p) for i in range(width)] for p in prompts], device=device)
        model: Any = self._model
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        encoded = base.get_encoder()(input_ids=ids, attention_mask=mask)
        self._encoded, self._cache = {"encoder_outputs": encoded, "attention_mask": mask}, None
        return self.step(torch.full((len(prompts),), model.config.decoder_start_token_id, device=device))

    def step(self, tokens: Tensor) -> Tensor:
        """Append one token to each row."""
        out = self._model(decoder_input_ids=tokens[:, None], past_key_values=self._cache, use_cache=True, **self._encoded)
        self._cache = out.past_key_values
        return _last(out.logits)


def _last(logits: Tensor) -> Tensor:
    return logits[:, -1].float()


@torch.no_grad()
def generate_ids(
    decoder: Decoder,
    prompts: Sequence[Sequence[int]],
    settings: GenerationSettings,
    eos_ids: Sequence[int],
    first_prompt: int = 0,
    on_token: OnToken | None = None,
    numbers: Sequence[int] | None = None,
) -> list[list[int]]:
    """Continue prompts until an end of sequence, which is not returned, or `max_new_tokens`.

    first_prompt: number of the first prompt among all, which chooses its draws. numbers: of each prompt, where they don't
    follow each other. on_token: called as (row, token).
    """
    known = range(first_prompt, first_prompt + len(prompts)) if numbers is None else numbers
    draws = torch.stack([uniform_draws(settings.seed, number, settings.max_new_tokens) for number in known])
    found: list[list[int]] = [[] for _ in prompts]
    open_rows = set(range(len(prompts)))
    ends = set(eos_ids)
    logits = decoder.start(prompts)
    for step in range(settings.max_new_tokens):
        forbidden = [*settings.banned_ids, *(ends if step < settings.min_new_tokens else ())]
        if forbidden:
            logits[:, forbidden] = -torch.inf
        tokens = choose(logits, settings, draws[:, step])
        for row, token in enumerate(tokens.tolist()):
            if row not in open_rows:
                continue
            if token in ends:
                open_rows.remove(row)
                continue
            found[row].append(token)
            if on_token is not None:
                on_token(row, token)
        if not open_rows or step + 1 == settings.max_new_tokens:
            break
        logits = decoder.step(tokens)
    return found
