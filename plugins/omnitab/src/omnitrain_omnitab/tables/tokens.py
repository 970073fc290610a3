"""A tokenizer as tables need it: casing, the blank in front, special ids around a text, the mask."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from omnitrain.errors import UsageError
from omnitrain_language.encoding import Encoded, Encoder, special_ids, start_ids, vocabulary_size
from omnitrain_language.tokenizers import pad_id
from omnitrain_omnitab.paper.linearise import Span

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MASK = "<mask>"
_MOST_KNOWN = 2**18


class TableTokens:
    """Text of tables and questions to ids; cells that come again are tokenised once.

    lower_case: texts lose their capitals before, as TAPEX's checkpoints want it. leading_blank: a text gets a blank in front
    where it has none, as OmniTab's checkpoints want it. Special tokens that a cell spells out stay text.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, *, lower_case: bool = False, leading_blank: bool = False) -> None:
        self.tokenizer = tokenizer
        self.lower_case, self.leading_blank = lower_case, leading_blank
        self.front = start_ids(tokenizer)
        self.eos, self.pad = int(tokenizer.eos_token_id), pad_id(tokenizer)
        self._encode = Encoder(tokenizer)
        self._beginnings: dict[tuple[str, int], str | None] = {}
        self._counts: dict[str, int] = {}

    def written(self, text: str) -> str:
        """Return a text as it is tokenised."""
        text = text.lower() if self.lower_case else text
        return " " + text if self.leading_blank and text and not text[0].isspace() else text

    def ids(self, text: str) -> list[int]:
        """Return the ids of a text without special ones."""
        return self._encode([self.written(text)])[0]

    def count(self, text: str) -> int:
        """See `omnitrain_omnitab.paper.cutting.Tokens`."""
        found = self._counts.get(text)
        if found is None:
            _make_room(self._counts)
            found = self._counts[text] = len(self.ids(text))
        return found

    def beginning(self, text: str, most: int) -> str | None:
        """See `omnitrain_omnitab.paper.cutting.Tokens`."""
        key = (text, most)
        if key not in self._beginnings:
            _make_room(self._beginnings)
            ids = self._encode([text.lower() if self.lower_case else text])[0]
            self._beginnings[key] = self.text(ids[:most]) if len(ids) >= most else None
        return self._beginnings[key]

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of ids, special ones left out."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def encoded(self, text: str) -> Encoded:
        """Return ids and places of a text that is written already; blanks in front of a token are not its own."""
        found = self._encode.with_offsets([text])[0]
        return Encoded(found.ids, [_without_blanks(text, span) for span in found.offsets])

    def whole(self, ids: Sequence[int], length: int | None = None) -> list[int]:
        """Return ids between what begins and ends a text; where `length` is given, their end is cut to it."""
        kept = [*self.front, *ids]
        return [*(kept if length is None else kept[: length - 1]), self.eos]

    @cached_property
    def mask_id(self) -> int:
        """The id of the mask. Raises UsageError where the tokenizer has none."""
        found: Any = self.tokenizer.mask_token_id
        known = self.tokenizer.get_vocab()
        if found is None and MASK not in known:
            raise UsageError(
                f"the tokenizer has no mask, which denoising needs: name one that has, "
                f"or set tokenizer.extra_tokens to [{MASK!r}]"
            )
        return int(known[MASK] if found is None else found)

    @cached_property
    def text_ids(self) -> list[int]:
        """All ids that stand for text: what a masked token may become by chance."""
        special = special_ids(self.tokenizer) | {self.pad, self.eos, *self.front, self.mask_id}
        unknown = self.tokenizer.unk_token_id
        special |= set() if unknown is None else {int(unknown)}
        present = set(self.tokenizer.get_vocab().values())
        return [i for i in range(vocabulary_size(self.tokenizer)) if i in present and i not in special]


def _make_room(known: dict[Any, Any]) -> None:
    if len(known) >= _MOST_KNOWN:
        known.clear()


def _without_blanks(text: str, span: Span) -> Span:
    start, end = span
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
