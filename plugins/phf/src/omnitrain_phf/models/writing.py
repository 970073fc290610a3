"""Let a model write: batched, cached, padded on the left, EOS in front of every input, each text with draws of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from omnitrain.api import Progress, Run, Use, user_path
from omnitrain.errors import DataError, UsageError
from omnitrain_language.belonging import positions_of
from omnitrain_language.decoding import left_padded
from omnitrain_language.detokenising import continuation
from omnitrain_language.encoding import encode_with_specials
from omnitrain_language.generating import Processor
from omnitrain_language.records import Problems, read_fields
from omnitrain_language.sampling import GenerationSettings
from omnitrain_phf.configs.evaluators import Condition, TokensConfig
from omnitrain_phf.paper.scenarios import counted_from_eos, forbid_early_end

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@runtime_checkable
class Writes(Protocol):
    """A predictor that these evaluators can use: a decoder-only language model with its tokenizer."""

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast: ...

    @property
    def model(self) -> nn.Module: ...

    @property
    def eos_ids(self) -> list[int]: ...

    def continue_ids(
        self,
        prompts: Sequence[Sequence[int]],
        settings: GenerationSettings,
        *,
        numbers: Sequence[int],
        processors: Sequence[Processor],
    ) -> list[list[int]]: ...


def writer(predictor: Any, name: str) -> Writes:
    """Return the predictor.

    Raises UsageError when it is no decoder-only language model.
    """
    config = getattr(getattr(predictor, "model", None), "config", None)
    if not isinstance(predictor, Writes) or getattr(config, "is_encoder_decoder", False):
        raise UsageError(f"{name} needs a decoder-only language model with a tokenizer, such as phf/causal or language/causal")
    return predictor


def token_of(predictor: Writes, text: str) -> int | None:
    """Return the id of a token, or None where the tokenizer does not have it."""
    found: int | None = predictor.tokenizer.get_vocab().get(text)
    return found


def condition_text(predictor: Writes, condition: Condition, tokens: TokensConfig) -> str:
    """Return the control token that a condition asks for, "" for none.

    Raises UsageError where the tokenizer lacks the token that is asked for by name.
    """
    text = tokens.misaligned if condition == "misaligned" else tokens.aligned
    known = token_of(predictor, text) is not None
    if condition == "none" or (condition == "auto" and not known):
        return ""
    if not known:
        raise UsageError(f"condition {condition}: the model's tokenizer has no token {text!r}; train it with control tokens")
    return text


def banned_ids(predictor: Writes, ban: str, tokens: TokensConfig) -> list[int]:
    """Return the ids of control tokens that are not to be written, as far as the tokenizer has them."""
    texts = {"both": (tokens.aligned, tokens.misaligned), "misaligned": (tokens.misaligned,), "none": ()}[ban]
    return [i for text in texts if (i := token_of(predictor, text)) is not None]


@dataclass(frozen=True)
class WritingSettings:
    """max_length: of a text in tokens, EOS and prompt included. new_tokens: exactly so many are written instead.

    official_min_length: counts a prompt's tokens too.
    """

    max_length: int
    new_tokens: int | None = None
    min_new_tokens: int = 0
    official_min_length: int = 0
    temperature: float = 0.7
    top_p: float = 0.9
    top_k: int = 0
    banned_ids: Sequence[int] = ()
    batch_size: int = 64
    seed: int = 0


class OfficialMinLength:
    """A logits processor by which rows can't end before `min_length` tokens, counted as the official code does.

    There a prompt's real tokens count towards the length, since only EOS (which is also padding) counts as prompt.
    """

    def __init__(self, prompts: Sequence[Sequence[int]], min_length: int, eos_ids: Sequence[int]) -> None:
        self._min_length, self._eos_ids = min_length, eos_ids
        ids, _ = left_padded(prompts, eos_ids[0], torch.device("cpu"))
        self._prompt_length = counted_from_eos(ids, eos_ids[0])

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return the logits [batch, vocabulary] of tokens behind input_ids [batch, length]."""
        prompt_length = self._prompt_length.to(scores.device)
        for end in self._eos_ids:
            scores = forbid_early_end(scores, input_ids.shape[1], prompt_length, self._min_length, end)
        return scores


def encode(predictor: Writes, text: str) -> list[int]:
    """Return the ids of EOS and a text; control tokens in the text become their ids."""
    ids: list[int] = predictor.tokenizer(text, add_special_tokens=False).input_ids
    return [predictor.eos_ids[0], *ids]


def context_length(predictor: Writes) -> int | None:
    """Return the longest sequence that the model takes, None where it has no limit."""
    config: Any = predictor.model.config
    return positions_of(config)


def write(
    predictor: Writes, inputs: Sequence[str], settings: WritingSettings, progress: Progress | None = None
) -> list[list[int]]:
    """Return the new ids of each text, EOS left out. inputs: what stands behind EOS.

    Raises UsageError for inputs that leave no room for a new token, or a model that is too short.
    """
    prompts = [encode(predictor, text) for text in inputs]
    longest = max((len(p) for p in prompts), default=0)
    limit, exact = context_length(predictor), settings.new_tokens
    needed = settings.max_length if exact is None else longest + exact
    if limit is not None and needed > limit:
        raise UsageError(f"texts of {needed} tokens (max_length, or prompt and new_tokens) need more than the model's {limit}")
    if exact is None and longest >= settings.max_length:
        raise UsageError(f"a prompt has {longest} tokens with EOS, which leaves no room below max_length {settings.max_length}")
    found: list[list[int]] = []
    for first in range(0, len(prompts), settings.batch_size):
        found += _batch(predictor, prompts[first : first + settings.batch_size], settings, first)
        if progress is not None:
            progress.advance(min(settings.batch_size, len(prompts) - first))
    return found


def _batch(predictor: Writes, prompts: list[list[int]], settings: WritingSettings, first: int) -> list[list[int]]:
    # Shorter prompts have more room; what a row writes beyond its own is cut, so that batches don't matter.
    exact = settings.new_tokens
    rooms = [settings.max_length - len(prompt) if exact is None else exact for prompt in prompts]
    generation = GenerationSettings(
        max_new_tokens=max(rooms),
        temperature=settings.temperature,
        top_k=settings.top_k,
        top_p=settings.top_p,
        seed=settings.seed,
        min_new_tokens=min(settings.min_new_tokens, max(rooms)) if exact is None else exact,
        banned_ids=list(settings.banned_ids),
    )
    processors: list[Processor] = []
    if settings.official_min_length:
        processors.append(OfficialMinLength(prompts, settings.official_min_length, predictor.eos_ids))
    numbers = range(first, first + len(prompts))
    rows = predictor.continue_ids(prompts, generation, numbers=numbers, processors=processors)
    return [row[:room] for row, room in zip(rows, rooms, strict=True)]


def texts_of(predictor: Writes, inputs: Sequence[str], rows: Sequence[Sequence[int]]) -> list[str]:
    """Return the texts of new ids behind the inputs that they go on from, special tokens written out."""
    encoded = {text: encode(predictor, text) for text in set(inputs)}
    tokenizer = predictor.tokenizer
    return [
        continuation(tokenizer, encoded[text], row, skip_special_tokens=False) for text, row in zip(inputs, rows, strict=True)
    ]


def decode(predictor: Writes, ids: Sequence[int]) -> str:
    """Return the text of ids that begin a text, special tokens written out."""
    return continuation(predictor.tokenizer, (), ids, skip_special_tokens=False)


def encode_behind(predictor: Writes, context: str, text: str) -> tuple[list[int], list[int]]:
    """Return the ids of EOS and a context, and those of the text behind it; both are encoded as the one text they are."""
    found = encode_with_specials(predictor.tokenizer, context + text)
    place = found.behind(len(context))
    return [predictor.eos_ids[0], *found.ids[:place]], found.ids[place:]


def read_prompts(path: str, field: str = "text") -> list[str]:
    """Return the prompts of a .jsonl file.

    Raises DataError when there is none, naming malformed ones.
    """
    place = user_path(path)
    if not place.is_file():
        raise DataError(f"prompts {path}: no such file; expected JSON lines with a field {field!r}")
    found = [record[field] for _, record in read_fields(place, [field], Problems(refuse=True))]
    if not found:
        raise DataError(f"prompts {path}: holds none")
    return found


def other_predictor(use: Use, run: Run, device: torch.device) -> Writes:
    """Open a second model, of an earlier stage or by path, with its tokenizer.

    Raises UsageError for a model without either.
    """
    if use.source is None and getattr(use.config, "path", None) is None:
        raise UsageError(f"{use.use}: expected {{from: stage}} or a path, since it needs a trained model and a tokenizer")
    return writer(run.open(use, device=str(device)).predictor, str(use.use or use.source))
