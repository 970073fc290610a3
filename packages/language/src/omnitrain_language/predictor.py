"""The predictor of this package's models: text in, text out, and log-probabilities of target tokens."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from omnitrain.api import Batch, Context
from omnitrain.engine import evaluating
from omnitrain.errors import UsageError
from omnitrain_language.belonging import positions_of
from omnitrain_language.decoding import OnToken
from omnitrain_language.detokenising import OnText
from omnitrain_language.ends import end_ids
from omnitrain_language.generating import Ended, Processor, generate_rows
from omnitrain_language.losses import token_cross_entropy
from omnitrain_language.masks import check_masks
from omnitrain_language.objectives import model_inputs
from omnitrain_language.sampling import GenerationSettings
from omnitrain_language.saved_settings import chosen_settings, describe_saved, saved_settings
from omnitrain_language.tokenizers import load_tokenizer, pad_id
from omnitrain_language.writing import Writing, by_length

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


Prompt = str | Sequence[int]


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

    def prompt_ids(self, prompt: str) -> list[int]:
        """Return the ids of a prompt as the tokenizer's template has it, open at its end where the model goes on with it."""
        row: list[int] = self.tokenizer(prompt).input_ids
        if self.config.is_encoder_decoder:
            return row
        eos = self.tokenizer.eos_token_id
        return row[:-1] if len(row) > 1 and row[-1] == eos else row or [eos]

    def encode_prompts(self, prompts: Sequence[Prompt], room: int) -> list[list[int]]:
        """Return the ids of prompts as the tokenizer's template has them; a prompt that is ids is taken as it is.

        room: new tokens to leave space for in a decoder-only model, which loses the beginning of a longer prompt.
        Raises UsageError when no space for a prompt or for the text would be left.
        """
        ids = [self.prompt_ids(p) if isinstance(p, str) else [int(i) for i in p] for p in prompts]
        limit = positions_of(self.config)
        if limit is None:
            return ids
        two_sided = self.config.is_encoder_decoder
        if room > limit or (room == limit and not two_sided):
            raise UsageError(f"max_new_tokens {room} must be smaller than the model's length of {limit} tokens")
        if two_sided:
            too_long = next((number for number, row in enumerate(ids) if len(row) > limit), None)
            if too_long is not None:
                raise UsageError(
                    f"prompt {too_long} has {len(ids[too_long])} tokens, more than the encoder's {limit} positions: shorten it"
                )
            return ids
        return [row[-(limit - room) :] for row in ids]

    def continue_ids(
        self,
        prompts: Sequence[Sequence[int]],
        settings: GenerationSettings,
        *,
        numbers: Sequence[int] | None = None,
        begin: Sequence[int] = (),
        ended: Ended | None = None,
        processors: Sequence[Processor] = (),
        on_token: OnToken | None = None,
    ) -> list[list[int]]:
        """Continue one batch of prompts; see `omnitrain_language.generating.generate_rows`.

        A composition of several models has a loop of its own here. The model is in evaluation mode meanwhile.
        """
        with evaluating(self.model):
            return generate_rows(
                self.model,
                prompts,
                settings,
                self.eos_ids,
                pad_id(self.tokenizer),
                numbers=numbers,
                begin=begin,
                ended=ended,
                processors=processors,
                on_token=on_token,
            )

    def settings(self, banned: Sequence[str] = (), **asked: Any) -> GenerationSettings:
        """Return settings of generation: what is asked for, else what is saved with the model; see `saved_settings`.

        asked: fields of `GenerationSettings` by name, None for what nobody asks for. banned: tokens that are never written.
        """
        return chosen_settings(saved_settings(self.model), asked, [self.token_id(text) for text in banned])

    def generate_text(
        self,
        prompts: Sequence[Prompt],
        *,
        max_new_tokens: int | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
        prefix: str = "",
        min_new_tokens: int | None = None,
        num_beams: int | None = None,
        samples: int = 1,
        no_repeat_ngram_size: int | None = None,
        length_penalty: float | None = None,
        early_stopping: bool | None = None,
        stop: Sequence[str] | None = None,
        banned: Sequence[str] = (),
        begin: str = "",
        batch_size: int = 16,
        skip_special_tokens: bool = True,
        on_text: OnText | None = None,
    ) -> list[str]:
        """Return a continuation of each prompt (decoder-only) or an answer to it (encoder-decoder).

        What is not set is taken from the model's generation_config, else it is greedy, at most 64 tokens. Prompts of like
        length are written together. prompts: texts, or ids that are taken as they are. prefix: text in front of every text,
        such as a mode token. samples: texts of each prompt, side by side in the result. stop: a text ends in front of one of
        these. banned: single tokens that are never written. begin: text that every answer begins with, which is not returned.
        skip_special_tokens: leave them out of the texts; set it to false where they mean something, as marks of thinking do.
        on_text: called as (number in the result, new text) while it is written. The global random state is not touched.
        """
        settings = self.settings(
            banned,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=seed,
            min_new_tokens=min_new_tokens,
            num_beams=num_beams,
            samples=samples,
            no_repeat_ngram_size=no_repeat_ngram_size,
            length_penalty=length_penalty,
            early_stopping=early_stopping,
            stop=None if stop is None else tuple(stop),
        )
        given = [prefix + p if isinstance(p, str) else p for p in prompts]
        writing = Writing(self, settings, begin, skip_special_tokens)
        texts: dict[int, list[str]] = {}
        rows = writing.encode(given)
        for places in by_length([len(row) for row in rows], batch_size):
            texts |= writing.write(rows, places, on_text=on_text)
        return [text for place in range(len(rows)) for text in texts[place]]

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


def build_predictor(model: nn.Module, directory: Path, context: Context) -> LanguagePredictor:
    """Make the predictor of a model from the tokenizer in the model's folder; tell what the model brings for generation."""
    told = describe_saved(saved_settings(model))
    if told:
        context.event("generation_config", **told)
    return LanguagePredictor(model, load_tokenizer(directory))
