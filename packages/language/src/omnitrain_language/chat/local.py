"""A model on this machine: requests in batches of like length, on its device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from omnitrain.api import Generates, Run
from omnitrain.errors import UsageError
from omnitrain_language.belonging import positions_of
from omnitrain_language.chat.budget import Budget
from omnitrain_language.chat.messages import UNKNOWN, Completion, Completions, Request
from omnitrain_language.chat_templates import Message, rendered_chat
from omnitrain_language.configs.chat import ChatConfig
from omnitrain_language.detokenising import continuation
from omnitrain_language.encoding import encode_with_specials
from omnitrain_language.predictor import LanguagePredictor
from omnitrain_language.sampling import GenerationSettings
from omnitrain_language.writing import by_length


class LocalModel:
    """Completes requests with a predictor of texts.

    identity: what tells this model from others, beside the settings. A request's draws depend on its key alone, so samples
    are the same in whatever batch and order. check: raises Stopped on request.
    """

    def __init__(
        self,
        config: ChatConfig,
        predictor: Generates,
        identity: Mapping[str, Any],
        seed: int = 0,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._config, self._predictor, self._model, self._check = config, predictor, identity, check
        self._seed = seed if config.seed is None else config.seed
        has_template = bool(getattr(getattr(predictor, "tokenizer", None), "chat_template", None))
        self._template = config.template or ("chat" if has_template else "plain")

    @property
    def identity(self) -> Mapping[str, Any]:
        """The model, and what its answers depend on besides."""
        config = self._config
        settings = {"max_tokens": config.max_tokens, "temperature": config.temperature, "template": self._template}
        return {"kind": "model", **self._model, **settings, "seed": self._seed if config.temperature else 0}

    def complete(self, requests: Sequence[Request], keys: Sequence[str], budget: Budget) -> Completions:
        """Yield completions batch by batch, the longest prompts first, so that too little memory shows at once."""
        predictor = self._predictor
        if not isinstance(predictor, LanguagePredictor):
            yield from self._texts(predictor, requests)
            return
        room = self._room(predictor)
        rows = [self._ids(predictor, request.messages) for request in requests]
        fits = [place for place, row in enumerate(rows) if room is None or len(row) <= room]
        for place in sorted(set(range(len(rows))) - set(fits)):
            yield place, Completion("", "context_length", prompt_tokens=len(rows[place]), completion_tokens=0)
        for batch in by_length([len(rows[place]) for place in fits], self._config.batch_size):
            self._check()
            places = [fits[number] for number in batch]
            written = self._written(predictor, [rows[p] for p in places], [int(keys[p][:15], 16) for p in places])
            yield from zip(places, written, strict=True)

    def _room(self, predictor: LanguagePredictor) -> int | None:
        """Return the longest prompt in tokens, None where the model sets no limit. Raises UsageError where none fits."""
        positions, most = positions_of(predictor.config), self._config.max_tokens
        if positions is None or predictor.config.is_encoder_decoder:
            return None
        if most >= positions:
            raise UsageError(
                f"chat.max_tokens {most} leaves no room for a prompt in the model's {positions} positions: lower it"
            )
        return positions - most

    def _written(self, predictor: LanguagePredictor, rows: Sequence[list[int]], numbers: Sequence[int]) -> list[Completion]:
        settings = GenerationSettings(self._config.max_tokens, self._config.temperature, seed=self._seed)
        outputs = predictor.continue_ids(rows, settings, numbers=numbers)
        found = []
        for row, output in zip(rows, outputs, strict=True):
            text = continuation(predictor.tokenizer, [] if predictor.config.is_encoder_decoder else row, output, True)
            finish = "stop" if len(output) < self._config.max_tokens else "length"
            found.append(Completion(text, finish, "", len(row), len(output)))
        return found

    def _texts(self, predictor: Generates, requests: Sequence[Request]) -> Completions:
        """Ask a predictor of another kind, which doesn't tell why its texts end."""
        prompts = [_plain(request.messages) for request in requests]
        settings = {"max_new_tokens": self._config.max_tokens}
        if self._config.temperature:
            settings |= {"temperature": self._config.temperature, "seed": self._seed}  # type: ignore[dict-item]
        for place, text in enumerate(predictor.generate_text(prompts, **settings)):
            yield place, Completion(text, UNKNOWN)

    def _ids(self, predictor: LanguagePredictor, messages: Sequence[Message]) -> list[int]:
        if self._template == "chat":
            return encode_with_specials(predictor.tokenizer, rendered_chat(messages, predictor.tokenizer, asks=True)).ids
        return predictor.prompt_ids(_plain(messages))


def open_local(config: ChatConfig, run: Run) -> LocalModel:
    """Open the model that a config names.

    Raises UsageError for one without a tokenizer and for one that can't write text.
    """
    assert config.model is not None
    if config.model.source is None and getattr(config.model.config, "path", None) is None:
        raise UsageError("chat.model: it has no tokenizer; write {from: stage} or name its path")
    opened = run.open(config.model, device=config.device)
    if not isinstance(opened.predictor, Generates):
        raise UsageError(f"chat.model: a model of {opened.address} can't write text; name one that can")
    identity = {"from": config.model.source, **run.describe_model(config.model)}
    return LocalModel(config, opened.predictor, identity, run.seed("chat"), run.stop_if_asked)


def _plain(messages: Sequence[Message]) -> str:
    return "\n".join(message["content"] for message in messages)
