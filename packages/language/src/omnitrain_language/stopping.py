"""Texts that end where a given text begins: recognised in the text itself, since tokens may run across it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from omnitrain_language.detokenising import Detokeniser, OnText

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def cut_text(text: str, stop: Sequence[str]) -> str:
    """Return what stands in front of the first stop."""
    places = [place for wanted in stop if (place := text.find(wanted)) >= 0]
    return text[: min(places)] if places else text


class StopTexts:
    """Tells whether new ids of a prompt spell out a stop. before: the ids that each text goes on from."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, before: Sequence[Sequence[int]], stop: Sequence[str]) -> None:
        self._stop = stop
        self._texts = [Detokeniser(tokenizer, ids, skip_special_tokens=False) for ids in before]

    def __call__(self, place: int, ids: Sequence[int]) -> bool:
        """Whether the text of these ids holds a stop."""
        text = self._texts[place](ids)
        return any(wanted in text for wanted in self._stop)


class HeldBack:
    """Passes text on as it is written, but what may be the beginning of a stop only when it turns out to be none."""

    def __init__(self, on_text: OnText, stop: Sequence[str]) -> None:
        self._on_text, self._stop = on_text, stop
        self._text: dict[int, str] = {}
        self._shown: dict[int, int] = {}

    def __call__(self, row: int, text: str) -> None:
        """Take new text of a row."""
        self._text[row] = whole = self._text.get(row, "") + text
        kept = cut_text(whole, self._stop)
        if self._stop and len(kept) == len(whole):
            longest = max(len(wanted) for wanted in self._stop)
            ends = (whole[-count:] for count in range(min(longest - 1, len(whole)), 0, -1))
            held = next((end for end in ends if any(wanted.startswith(end) for wanted in self._stop)), "")
            kept = whole[: len(whole) - len(held)]
        self._show(row, kept)

    def end(self) -> None:
        """Pass on what was held back of texts that ended without a stop."""
        for row, text in self._text.items():
            self._show(row, cut_text(text, self._stop))

    def _show(self, row: int, text: str) -> None:
        shown = self._shown.get(row, 0)
        if len(text) > shown:
            self._shown[row] = len(text)
            self._on_text(row, text[shown:])
