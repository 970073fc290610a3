"""The predictor of compositions: text in, text out, with every dial as a setting; log-probabilities of given tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omnitrain.api import Context
from omnitrain.engine import evaluating
from omnitrain.errors import UsageError
from omnitrain_eft.models.composition import CompositionModel
from omnitrain_eft.models.decoding.loop import Decoding, Generated, generate
from omnitrain_eft.models.decoding.plain import CompositionDecoder
from omnitrain_eft.models.decoding.processors import Processing
from omnitrain_eft.models.decoding.speculative import generate_speculatively
from omnitrain_eft.models.ensemble import Prompts
from omnitrain_eft.paper.composition import Dials
from omnitrain_language.belonging import positions_of
from omnitrain_language.chat_templates import turn_end
from omnitrain_language.decoding import OnToken, generate_ids
from omnitrain_language.detokenising import OnText, TextStream, continuation
from omnitrain_language.dialogues.messages import Prompt
from omnitrain_language.dialogues.templates import prompt_ids
from omnitrain_language.ends import end_ids
from omnitrain_language.predictor import LanguagePredictor
from omnitrain_language.sampling import GenerationSettings
from omnitrain_language.tokenizers import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TOKENIZERS = "tokenizers"


class CompositionPredictor(LanguagePredictor):
    """A composition with its tokenizer: abilities `Generates` and `Scores`.

    tokenizers: of members whose chat template or start token differs from the shared one, by name.
    """

    model: CompositionModel

    def __init__(
        self,
        model: CompositionModel,
        tokenizer: PreTrainedTokenizerFast,
        tokenizers: dict[str, PreTrainedTokenizerFast] | None = None,
    ) -> None:
        super().__init__(model, tokenizer)
        self._tokenizers = tokenizers or {}

    @cached_property
    def eos_ids(self) -> list[int]:
        """The ids that end a text: those of the config, else of the tokenizer and of the experts' generation settings."""
        named = self.model.settings.end_tokens
        if named is not None:
            return [self.token_id(token) for token in named]
        experts = [self.model.members[f"expert-{number}"] for number in range(len(self.model.settings.experts))]
        turns = [turn for tokenizer in self._tokenizers.values() if (turn := turn_end(tokenizer)) is not None]
        return list(dict.fromkeys([*end_ids(self.tokenizer, *experts), *turns]))

    def decoder(self) -> CompositionDecoder:
        """Return a fresh decoder of the composition, for `omnitrain_language.decoding`."""
        return CompositionDecoder(self.model.ensemble(), self.model.dials, self.model.settings.stacked)

    def continue_ids(
        self,
        prompts: Sequence[Sequence[int]],
        settings: GenerationSettings,
        *,
        numbers: Sequence[int] | None = None,
        on_token: OnToken | None = None,
        **others: Any,
    ) -> list[list[int]]:
        """Continue one batch of ids that all models read; see `omnitrain_language.decoding.generate_ids`.

        Raises UsageError for what a composition can't do.
        """
        if any(others.values()):
            raise UsageError(f"a composition knows no {', '.join(others)} of generation: leave them out")
        with evaluating(self.model):
            return generate_ids(self.decoder(), prompts, settings, self.eos_ids, numbers, on_token)

    def prompts(self, prompts: Sequence[Prompt], room: int) -> Prompts:
        """Return the prompt ids of every model, each written in that model's template.

        room: new tokens to leave positions for. Raises UsageError for an empty and for an over-long prompt.
        """
        config, ensemble = self.model.settings, self.model.ensemble()
        templates: dict[int, tuple[str, str]] = {}
        shared = ensemble.shared_base
        for number, expert in enumerate(config.experts):
            templates[ensemble.experts[number]] = expert.template, f"expert-{number}"
            own = f"base-{number}" if f"base-{number}" in self.model.members else "small"
            templates.setdefault(ensemble.bases[number], (expert.base_template or config.small_template, own))
        templates.setdefault(shared, (config.small_template, "small"))
        large = self._ids(prompts, config.large_template, "large", self.model.members["large"].config, room)
        small = [
            self._ids(prompts, *templates[place], ensemble.small[place].config, room) for place in range(len(ensemble.small))
        ]
        return Prompts(large, small)

    def _ids(self, prompts: Sequence[Prompt], template: str, name: str, config: Any, room: int) -> list[list[int]]:
        tokenizer = self._tokenizers.get(name, self.tokenizer)
        rows = [prompt_ids(prompt, template, tokenizer) for prompt in prompts]
        limit = positions_of(config)
        for number, row in enumerate(rows):
            if limit is not None and len(row) + room > limit:
                raise UsageError(
                    f"prompt {number} has {len(row)} tokens for {name}; with max_new_tokens {room} that is more than the "
                    f"model's {limit} positions: shorten the prompt or lower max_new_tokens"
                )
        return rows

    # Prompts may be messages; there are dials, and no beams.
    def generate_text(  # type: ignore[override]
        self,
        prompts: Sequence[Prompt],
        *,
        max_new_tokens: int = 64,
        temperature: float = 0.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        typical_p: float = 1.0,
        seed: int = 0,
        prefix: str = "",
        min_new_tokens: int = 0,
        repetition_penalty: float = 1.0,
        no_repeat_ngram_size: int = 0,
        banned: Sequence[str] = (),
        alpha: float | None = None,
        beta_up: float | None = None,
        weights: Sequence[float] | None = None,
        delta_top_p: float | None = None,
        block_size: int | None = None,
        adaptive_block: bool | None = None,
        draft: int | None = None,
        batch_size: int = 16,
        skip_special_tokens: bool = True,
        on_text: OnText | None = None,
    ) -> list[str]:
        """Return a continuation of each prompt under the composition.

        prompts: texts, or lists of messages. alpha, beta_up, weights, delta_top_p: dials in place of the config's.
        block_size: tokens of a speculative round, 0 for plain decoding.
        on_text: called as (prompt number, new text) while it is written.
        """
        processing = Processing(
            temperature=float(temperature),
            top_k=top_k,
            top_p=float(top_p),
            min_p=float(min_p),
            typical_p=float(typical_p),
            repetition_penalty=float(repetition_penalty),
            no_repeat_ngram_size=no_repeat_ngram_size,
            banned_ids=tuple(self.token_id(text) for text in banned),
            min_new_tokens=min_new_tokens,
        )
        config = self.model.settings
        settings = Decoding(
            max_new_tokens,
            processing,
            seed,
            block_size=config.block_size if block_size is None else block_size,
            adaptive=config.adaptive_block if adaptive_block is None else adaptive_block,
            draft=config.draft if draft is None else draft,
        )
        dials = self.model.turned(alpha, beta_up, weights, delta_top_p)
        given = [prefix + p if isinstance(p, str) else p for p in prompts]
        before = self.prompts(given, max_new_tokens).large
        stream = None if on_text is None else TextStream(self.tokenizer, on_text, before, skip_special_tokens)
        rows: list[list[int]] = []
        for first in range(0, len(given), batch_size):
            rows += self.generate_ids(given[first : first + batch_size], dials, settings, first, stream).without_eos()
        pairs = zip(before, rows, strict=True)
        return [continuation(self.tokenizer, prompt, row, skip_special_tokens) for prompt, row in pairs]

    def generate_ids(
        self,
        prompts: Sequence[Prompt],
        dials: Dials,
        settings: Decoding,
        first: int = 0,
        on_token: Callable[[int, int], None] | None = None,
    ) -> Generated:
        """Continue one batch of prompts; speculatively where the settings name a block size. first: number of the first."""
        settings = replace(settings, first_text=first)
        ids = self.prompts(prompts, settings.max_new_tokens)
        report = None if on_token is None else (lambda row, token: on_token(first + row, token))
        ensemble = self.model.ensemble()
        if settings.block_size:
            return generate_speculatively(ensemble, dials, ids, settings, self.eos_ids, self.model.pad, report)
        decoder = CompositionDecoder(ensemble, dials, self.model.settings.stacked)
        return generate(decoder, ids, settings, self.eos_ids, self.model.pad, report)


def build_predictor(model: CompositionModel, directory: Path, context: Context) -> CompositionPredictor:
    """Make the predictor of a composition from the tokenizers in its folder."""
    folder = directory / TOKENIZERS
    own = {path.name: load_tokenizer(path) for path in sorted(folder.iterdir())} if folder.is_dir() else {}
    return CompositionPredictor(model, load_tokenizer(directory), own)
