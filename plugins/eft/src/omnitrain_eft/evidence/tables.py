"""Bigram tables as language models: the whole law of a text can be written down, so decoding can be checked exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig
from transformers.modeling_outputs import CausalLMOutputWithPast

from omnitrain_eft.models.decoding.plain import CompositionDecoder
from omnitrain_eft.models.ensemble import Ensemble
from omnitrain_eft.paper.composition import Dials


class TableModel(nn.Module):
    """Logits of the next token are a row of a table, float[vocabulary, vocabulary], chosen by the last token."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = nn.Parameter(table, requires_grad=False)
        self.config = PretrainedConfig(num_hidden_layers=1, vocab_size=len(table))

    def forward(self, input_ids: Tensor, past_key_values: Any = None, **unused: Any) -> CausalLMOutputWithPast:
        """Return logits [batch, length, vocabulary]. The cache only counts, so that rolling back is exercised."""
        if past_key_values is not None:
            count = input_ids[:, None, :, None].to(self.table.dtype)
            past_key_values.update(count, count, 0)
        return CausalLMOutputWithPast(logits=self.table[input_ids], past_key_values=past_key_values)


def table_ensemble(tables: Sequence[Tensor], pad: int = 0) -> Ensemble:
    """Return the ensemble of the tables (large base, small fine-tuned, small base)."""
    large, expert, base = (TableModel(table) for table in tables)
    return Ensemble(large, [expert, base], [0], [1], 1, pad, len(tables[0]))


def table_decoder(
    tables: Sequence[Tensor], dials: Dials, on_logits: Callable[[Tensor], None] | None = None
) -> CompositionDecoder:
    """Return the decoder of the tables (large base, small fine-tuned, small base)."""
    return CompositionDecoder(table_ensemble(tables), dials, on_logits=on_logits)


def text_law(z_of: Callable[[int], Tensor], start: int, length: int) -> dict[tuple[int, ...], float]:
    """Return the probability of every text of that length behind a token. z_of: warped logits after a token."""
    law: dict[tuple[int, ...], float] = {(): 1.0}
    for _ in range(length):
        law = {
            (*text, token): mass * float(p)
            for text, mass in law.items()
            for token, p in enumerate(torch.softmax(z_of(text[-1] if text else start), dim=-1))
        }
    return law
