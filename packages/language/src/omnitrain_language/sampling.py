"""Choose the next token: greedy, or drawn by the inverse of the cumulative distribution from given uniform numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from omnitrain.api import numpy_generator
from omnitrain.errors import UsageError


@dataclass(frozen=True)
class GenerationSettings:
    """How texts are continued: drawn where temperature is above 0, searched where num_beams is above 1, else greedily.

    top_k 0 and top_p 1 cut nothing. seed: each sample of each prompt has its own stream of draws, so a text depends neither on
    the batch size nor on other prompts. min_new_tokens: the end of sequence is forbidden before. banned_ids: never chosen.
    samples: texts of a prompt, drawn or the best of the beams. no_repeat_ngram_size, length_penalty, early_stopping: as in
    transformers. stop: a text ends where one of these begins.
    """

    max_new_tokens: int = 64
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    min_new_tokens: int = 0
    banned_ids: Sequence[int] = ()
    num_beams: int = 1
    samples: int = 1
    no_repeat_ngram_size: int = 0
    length_penalty: float = 1.0
    early_stopping: bool = False
    stop: Sequence[str] = ()

    def __post_init__(self) -> None:
        drawn = 0 <= self.temperature < math.inf and self.top_k >= 0 and 0 < self.top_p <= 1
        if self.max_new_tokens < 1 or not drawn:
            raise UsageError(
                f"max_new_tokens must be at least 1, temperature and top_k at least 0, top_p in (0, 1]; found {self}"
            )
        if self.num_beams < 1 or self.samples < 1 or self.no_repeat_ngram_size < 0 or "" in self.stop:
            raise UsageError(
                "num_beams and samples must be at least 1, no_repeat_ngram_size at least 0, and no text of stop empty; found "
                f"{self}"
            )
        if self.num_beams > 1 and self.temperature:
            raise UsageError(
                f"num_beams {self.num_beams} searches and temperature {self.temperature:g} draws: set num_beams to 1 or "
                "temperature to 0"
            )
        most = self.samples if self.temperature else self.num_beams
        if self.samples > most:
            raise UsageError(
                f"samples {self.samples} of a prompt would be equal: set temperature above 0, or num_beams to at least "
                f"{self.samples}"
            )


def uniform_draws(seed: int, prompt: int, count: int, sample: int = 0) -> Tensor:
    """Return float64[count] in [0, 1) that belong to a sample of the prompt's number; more draws extend the same stream."""
    mixed = (seed * 0x9E3779B97F4A7C15 + prompt * 0xD1342543DE82EF95 + sample * 0xA0761D6478BD642F + 1) % 2**64
    return torch.from_numpy(numpy_generator(mixed).random(count))


def kept_tokens(logits: Tensor, temperature: float, top_k: int, top_p: float) -> tuple[Tensor, Tensor]:
    """Return (probabilities, ids), both [batch, kept]: most probable first where something is cut, zero where cut.

    logits: float32[batch, vocabulary]. top_p keeps the smallest set that holds at least that much of what top_k left.
    """
    scaled = logits / temperature
    if top_k:
        scaled, ids = scaled.topk(min(top_k, logits.shape[-1]), dim=-1)
    elif top_p < 1:
        scaled, ids = scaled.sort(dim=-1, descending=True, stable=True)
    else:
        ids = torch.arange(logits.shape[-1], device=logits.device).expand_as(logits)
    probabilities = scaled.double().softmax(dim=-1)
    if top_p < 1:
        before = probabilities.cumsum(dim=-1) - probabilities
        probabilities = torch.where(before < top_p, probabilities, 0.0)
    return probabilities, ids


def choose(logits: Tensor, settings: GenerationSettings, draws: Tensor) -> Tensor:
    """Return the next token of each row, int64[batch]. logits: float32[batch, vocabulary]; draws: float64[batch]."""
    if settings.temperature == 0:
        return logits.argmax(dim=-1)
    probabilities, ids = kept_tokens(logits, settings.temperature, settings.top_k, settings.top_p)
    cumulative = probabilities.cumsum(dim=-1)
    target = draws.to(cumulative)[:, None] * cumulative[:, -1:]
    place = torch.searchsorted(cumulative, target, right=True)
    # Rounding may put the target on the very end: take the last token that has any probability.
    last = (cumulative < cumulative[:, -1:]).sum(dim=-1, keepdim=True)
    return ids.gather(1, torch.minimum(place, last))[:, 0]
