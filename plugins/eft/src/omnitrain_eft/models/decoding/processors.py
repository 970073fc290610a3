"""What happens between combined logits and a token: processors and warpers in the order of transformers' `generate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from omnitrain.errors import UsageError
from omnitrain_eft.paper.composition import cut_to_nucleus


@dataclass(frozen=True)
class Processing:
    """Settings of what is done to combined logits. temperature 0 is greedy; the defaults change nothing.

    Order: repetition_penalty, no_repeat_ngram_size, banned_ids, end of sequence before min_new_tokens, `custom`, then
    temperature, top_k, top_p, min_p, typical_p. top_p is the paper's ordinary nucleus on the combined distribution.
    custom: further processors of transformers, called with (ids of the large base's prompt and of what was written,
    logits) of one row.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    banned_ids: tuple[int, ...] = ()
    min_new_tokens: int = 0
    custom: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        problems = [
            (self.temperature < 0, f"temperature {self.temperature:g} is below 0"),
            (self.top_k < 0, f"top_k {self.top_k} is below 0"),
            (not 0 < self.top_p <= 1, f"top_p {self.top_p:g} is not above 0 and at most 1"),
            (not 0 <= self.min_p <= 1, f"min_p {self.min_p:g} is not between 0 and 1"),
            (not 0 < self.typical_p <= 1, f"typical_p {self.typical_p:g} is not above 0 and at most 1"),
            (self.repetition_penalty <= 0, f"repetition_penalty {self.repetition_penalty:g} is not above 0"),
            (self.no_repeat_ngram_size < 0, f"no_repeat_ngram_size {self.no_repeat_ngram_size} is below 0"),
            (self.min_new_tokens < 0, f"min_new_tokens {self.min_new_tokens} is below 0"),
        ]
        wrong = [text for bad, text in problems if bad]
        if wrong:
            raise UsageError("; ".join(wrong))

    @property
    def greedy(self) -> bool:
        """Whether the most probable token is taken."""
        return self.temperature == 0

    @cached_property
    def _by_history(self) -> list[Any]:
        """Processors that look at the row's earlier tokens."""
        from transformers import NoRepeatNGramLogitsProcessor, RepetitionPenaltyLogitsProcessor

        found: list[Any] = []
        if self.repetition_penalty != 1:
            found.append(RepetitionPenaltyLogitsProcessor(self.repetition_penalty))
        if self.no_repeat_ngram_size:
            found.append(NoRepeatNGramLogitsProcessor(self.no_repeat_ngram_size))
        return found

    @cached_property
    def _after_nucleus(self) -> list[Any]:
        from transformers import MinPLogitsWarper, TypicalLogitsWarper

        found: list[Any] = []
        if self.min_p > 0:
            found.append(MinPLogitsWarper(self.min_p))
        if self.typical_p < 1:
            found.append(TypicalLogitsWarper(self.typical_p))
        return found

    @property
    def reads_history(self) -> bool:
        """Whether the result depends on more than the logits, so that rows are processed one by one."""
        return bool(self._by_history or self.custom)

    def process(
        self, z: Tensor, histories: Sequence[Sequence[int]], written: Sequence[int] = (), eos_ids: Sequence[int] = ()
    ) -> Tensor:
        """Return logits [batch, vocabulary] after everything before the temperature.

        histories: per row the ids of prompt and text so far. written: per row the number of new tokens so far.
        """
        if self.reads_history:
            rows = [self._one_row(row, history) for row, history in zip(z, histories, strict=True)]
            z = torch.stack(rows)
        if self.banned_ids:
            z = z.index_fill(-1, torch.tensor(self.banned_ids, device=z.device), -torch.inf)
        early = [row for row, count in enumerate(written) if count < self.min_new_tokens] if self.min_new_tokens else []
        if early and eos_ids:
            z = z.clone()
            z[torch.tensor(early, device=z.device)[:, None], torch.tensor(list(eos_ids), device=z.device)] = -torch.inf
        if self.custom:
            z = torch.stack([self._custom_row(row, history) for row, history in zip(z, histories, strict=True)])
        return z

    def _one_row(self, row: Tensor, history: Sequence[int]) -> Tensor:
        ids = torch.tensor([list(history)], dtype=torch.int64, device=row.device)
        scores = row[None]
        for processor in self._by_history:
            scores = processor(ids, scores)
        return scores[0]

    def _custom_row(self, row: Tensor, history: Sequence[int]) -> Tensor:
        ids = torch.tensor([list(history)], dtype=torch.int64, device=row.device)
        scores = row[None]
        for processor in self.custom:
            scores = processor(ids, scores)
        return scores[0]

    def warp(self, z: Tensor) -> Tensor:
        """Return logits [..., vocabulary] after temperature and cuts; as they are where the choice is greedy."""
        if self.greedy:
            return z
        if self.temperature != 1:
            z = z / self.temperature
        if self.top_k:
            least = z.topk(min(self.top_k, z.shape[-1]), dim=-1).values[..., -1:]
            z = z.masked_fill(z < least, -torch.inf)
        z = cut_to_nucleus(z, self.top_p)
        if self._after_nucleus:
            flat = z.reshape(-1, z.shape[-1])
            for warper in self._after_nucleus:
                flat = warper(None, flat)
            z = flat.view_as(z)
        return z

    def __call__(
        self, z: Tensor, histories: Sequence[Sequence[int]], written: Sequence[int] = (), eos_ids: Sequence[int] = ()
    ) -> Tensor:
        """Return the logits [batch, vocabulary] that a token is drawn from."""
        return self.warp(self.process(z, histories, written, eos_ids))
