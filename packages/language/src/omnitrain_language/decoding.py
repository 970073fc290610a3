"""Decoding of what is no model of transformers: what gives logits step by step, and the loop that turns them into tokens.

A method that mixes several models while decoding is a `Decoder`; single models write through `generating`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from omnitrain.errors import UsageError
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


@torch.no_grad()
def generate_ids(
    decoder: Decoder,
    prompts: Sequence[Sequence[int]],
    settings: GenerationSettings,
    eos_ids: Sequence[int],
    numbers: Sequence[int] | None = None,
    on_token: OnToken | None = None,
) -> list[list[int]]:
    """Continue prompts until an end of sequence, which is not returned, or `max_new_tokens`.

    numbers: of the prompts among all, which choose their draws; else their places. on_token: called as (row, token).
    Raises UsageError for what only models of transformers can do: beams, several samples, n-grams that don't repeat, stops.
    """
    if settings.num_beams > 1 or settings.samples > 1 or settings.no_repeat_ngram_size or settings.stop:
        raise UsageError(
            "num_beams, samples, no_repeat_ngram_size and stop need a single model of transformers; leave them out for a "
            "composition"
        )
    known = range(len(prompts)) if numbers is None else numbers
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
