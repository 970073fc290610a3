"""Many prompts become texts: batches of like length, the longest first, each text a function of its own prompt and number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from omnitrain_language.decoding import OnToken
from omnitrain_language.detokenising import OnText, TextStream, continuation
from omnitrain_language.encoding import encode_with_specials
from omnitrain_language.generating import Ended
from omnitrain_language.sampling import GenerationSettings
from omnitrain_language.stopping import HeldBack, StopTexts, cut_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class ContinuesIds(Protocol):
    """A predictor that goes on from token ids, as those of this package do."""

    config: Any

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast: ...

    def encode_prompts(self, prompts: Sequence[str | Sequence[int]], room: int) -> list[list[int]]: ...

    def continue_ids(
        self,
        prompts: Sequence[Sequence[int]],
        settings: GenerationSettings,
        *,
        numbers: Sequence[int],
        begin: Sequence[int] = ...,
        ended: Ended | None = ...,
        on_token: OnToken | None = ...,
    ) -> list[list[int]]: ...


def by_length(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Yield the places of each batch, the longest first, so that too little memory shows at once."""
    order = sorted(range(len(lengths)), key=lambda place: (-lengths[place], place))
    for first in range(0, len(order), batch_size):
        yield order[first : first + batch_size]


class Writing:
    """Writes texts with one predictor and one set of settings. begin: text that every answer begins with."""

    def __init__(
        self, predictor: ContinuesIds, settings: GenerationSettings, begin: str = "", skip_special_tokens: bool = True
    ) -> None:
        self._predictor, self._settings, self._skip = predictor, settings, skip_special_tokens
        self._begin = encode_with_specials(predictor.tokenizer, begin).ids if begin else []
        self._begin_text = begin

    def encode(self, prompts: Sequence[str | Sequence[int]]) -> list[list[int]]:
        """Return the ids of prompts; what an answer begins with is behind those of a decoder-only model."""
        room = self._settings.max_new_tokens
        if self._predictor.config.is_encoder_decoder:
            return self._predictor.encode_prompts(prompts, room + len(self._begin))
        whole = [p + self._begin_text if isinstance(p, str) else [*p, *self._begin] for p in prompts]
        return self._predictor.encode_prompts(whole, room)

    def write(
        self, rows: Sequence[Sequence[int]], places: Sequence[int], on_text: OnText | None = None
    ) -> Mapping[int, list[str]]:
        """Return by place the texts of some rows, written together: `settings.samples` of each."""
        settings, tokenizer = self._settings, self._predictor.tokenizer
        prompts = [rows[place] for place in places]
        before = [self._begin if self._predictor.config.is_encoder_decoder else row for row in prompts]
        outputs = [place * settings.samples + sample for place in places for sample in range(settings.samples)]
        more: dict[str, Any] = {"begin": self._begin} if self._begin and self._predictor.config.is_encoder_decoder else {}
        if settings.stop:
            more["ended"] = StopTexts(tokenizer, before, settings.stop)
        shown = self._stream(on_text, before, outputs)
        if shown is not None:
            more["on_token"] = shown[0]
        written = self._predictor.continue_ids(prompts, settings, numbers=list(places), **more)
        texts = [
            cut_text(continuation(tokenizer, before[row // settings.samples], ids, self._skip), settings.stop)
            for row, ids in enumerate(written)
        ]
        if shown is not None:
            shown[1].end()
        elif on_text is not None:
            for number, text in zip(outputs, texts, strict=True):
                on_text(number, text)
        return {
            place: texts[number * settings.samples : (number + 1) * settings.samples] for number, place in enumerate(places)
        }

    def _stream(
        self, on_text: OnText | None, before: Sequence[Sequence[int]], outputs: Sequence[int]
    ) -> tuple[TextStream, HeldBack] | None:
        # Beams are known at the end only.
        if on_text is None or self._settings.num_beams > 1:
            return None
        held = HeldBack(lambda row, text: on_text(outputs[row], text), self._settings.stop)
        each = [row for row in before for _ in range(self._settings.samples)]
        return TextStream(self._predictor.tokenizer, held, each, self._skip), held
