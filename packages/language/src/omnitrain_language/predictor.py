"""The predictor of this package's models: text in, text out, and log-probabilities of target tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from omnitrain.api import Batch, Context
from omnitrain.engine import evaluating
from omnitrain.errors import UsageError
from omnitrain_language.belonging import positions_of
from omnitrain_language.decoding import CausalDecoder, Decoder, Seq2SeqDecoder, generate_ids
from omnitrain_language.detokenising import OnText, TextStream, continuation
from omnitrain_language.ends import end_ids
from omnitrain_language.losses import token_cross_entropy
from omnitrain_language.masks import check_masks
from omnitrain_language.objectives import model_inputs
from omnitrain_language.sampling import GenerationSettings
from omnitrain_language.tokenizers import load_tokenizer, pad_id

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class LanguagePredictor:
    """A Hugging Face model with its tokenizer: abilities `Generates` and `Scores`."""

    def __init__(self, model: nn.Module, tokenizer: PreTrainedTokenizerFast) -> None:
        self.model = model
        self.tokenizer = tokenizer
        config: Any = model.config
        self.config = config
        self._checked = False

    @cached_property
    def eos_ids(self) -> list[int]:
        """The ids that end a text, the tokenizer's end of sequence first."""
        return end_ids(self.tokenizer, self.model)

    def decoder(self) -> Decoder:
        """Return a fresh decoder of the model."""
        kind = Seq2SeqDecoder if self.config.is_encoder_decoder else CausalDecoder
        return kind(self.model, pad_id(self.tokenizer))

    def prompt_ids(self, prompt: str) -> list[int]:
        """Return the ids of a prompt as the tokenizer's template has it, open at its end where the model goes on with it."""
        row: list[int] = self.tokenizer(prompt).input_ids
        if self.config.is_encoder_decoder:
            return row
        eos = self.tokenizer.eos_token_id
        return row[:-1] if len(row) > 1 and row[-1] == eos else row or [eos]

    def encode_prompts(self, prompts: Sequence[str], room: int) -> list[list[int]]:
        """Return the ids of prompts as the tokenizer's template has them.

        room: new tokens to leave space for in a decoder-only model, which loses the beginning of a longer prompt.
        Raises UsageError when no space for a prompt would be left.
        """
        ids = [self.prompt_ids(p) for p in prompts]
        if self.config.is_encoder_decoder:
            return ids
        limit = positions_of(self.config)
        if limit is None:
            return ids
        if room >= limit:
            raise UsageError(f"max_new_tokens {room} must be smaller than the model's length of {limit} tokens")
        return [row[-(limit - room) :] for row in ids]

    def generate_text(
        self,
        prompts: Sequence[str],
        *,
        max_new_tokens: int = 64,
        temperature: float = 0.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
        prefix: str = "",
        min_new_tokens: int = 0,
        banned: Sequence[str] = (),
        batch_size: int = 16,
        skip_special_tokens: bool = True,
        on_text: OnText | None = None,
    ) -> list[str]:
        """Return a continuation of each prompt (decoder-only) or an answer to it (encoder-decoder).

        prefix: text in front of every prompt, such as a mode token. banned: single tokens that are never written.
        on_text: called as (prompt number, new text) while it is written. The global random state is not touched.
        """
        settings = GenerationSettings(
            max_new_tokens, temperature, top_k, top_p, seed, min_new_tokens, [self.token_id(b) for b in banned]
        )
        ids = self.encode_prompts([prefix + p for p in prompts], max_new_tokens)
        before = [[] if self.config.is_encoder_decoder else row for row in ids]
        stream = None if on_text is None else TextStream(self.tokenizer, on_text, before, skip_special_tokens)
        outputs: list[list[int]] = []
        with evaluating(self.model):
            for first in range(0, len(ids), batch_size):
                report = None if stream is None else _shifted(stream, first)
                chunk = ids[first : first + batch_size]
                outputs += generate_ids(self.decoder(), chunk, settings, self.eos_ids, first, report)
        return [
            continuation(self.tokenizer, row, output, skip_special_tokens) for row, output in zip(before, outputs, strict=True)
        ]

    def token_id(self, text: str) -> int:
        """Return the id of a text that is one token.

        Raises UsageError when it is several.
        """
        ids = self.tokenizer(text, add_special_tokens=False).input_ids
        if len(ids) != 1:
            raise UsageError(f"{text!r} is {len(ids)} tokens; expected a single one")
        return int(ids[0])

    def score(self, batch: Batch) -> Tensor:
        """Return log-probabilities of the labels, float32[batch, length], zero where the batch has no loss."""
        return self._log_probabilities(batch)

    def score_without(self, batch: Batch, excluded: Tensor) -> Tensor:
        """Return log-probabilities of the labels given that none of the excluded ids comes, float32[batch, length].

        excluded: int64[ids]; a label that is one of them scores -inf. Zero where the batch has no loss.
        """
        return self._log_probabilities(batch, excluded)

    def _log_probabilities(self, batch: Batch, excluded: Tensor | None = None) -> Tensor:
        if not self._checked:
            check_masks(self.model, batch)
            self._checked = True
        device = next(self.model.parameters()).device
        batch = {name: value.to(device) if isinstance(value, Tensor) else value for name, value in batch.items()}
        with evaluating(self.model):
            logits = self.model(**model_inputs(batch), use_cache=False).logits
            if excluded is not None:
                logits = logits.float().index_fill(-1, excluded.to(device), float("-inf"))
            _, nll = token_cross_entropy(logits, batch["labels"])
        return torch.where(batch["loss_weights"] != 0, -nll, 0.0)


def _shifted(stream: TextStream, first: int) -> Callable[[int, int], None]:
    return lambda row, token: stream(first + row, token)


def build_predictor(model: nn.Module, directory: Path, context: Context) -> LanguagePredictor:
    """Make the predictor of a model from the tokenizer in the model's folder."""
    return LanguagePredictor(model, load_tokenizer(directory))
