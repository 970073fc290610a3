"""From ids to text, with what stands before them: many tokenizers write the first token of a text in another way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

from omnitrain_language.encoding import special_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

OnText = Callable[[int, str], None]


class Detokeniser:
    """Gives the text that ids add to the ids before them, its first blank included.

    Behind a special token a text begins anew. special: ids of special tokens, where they are known already.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        before: Sequence[int] = (),
        skip_special_tokens: bool = True,
        special: Collection[int] | None = None,
    ) -> None:
        self._tokenizer, self._skip = tokenizer, skip_special_tokens
        self._context = behind_specials(before, special_ids(tokenizer) if special is None else special)
        self._known = self._text(self._context) if self._context else ""

    def _text(self, ids: Sequence[int]) -> str:
        found = self._tokenizer.decode(list(ids), skip_special_tokens=self._skip, clean_up_tokenization_spaces=False)
        return str(found)

    def __call__(self, ids: Sequence[int]) -> str:
        """Return the text of ids that stand behind those before."""
        known, whole = self._known, self._text([*self._context, *ids])
        if not whole.startswith(known):
            # The ids before end inside of a character.
            same = takewhile(lambda pair: pair[0] == pair[1], zip(known, whole, strict=False))
            return whole[sum(1 for _ in same) :]
        return whole[len(known) :]


def continuation(
    tokenizer: PreTrainedTokenizerFast, before: Sequence[int], ids: Sequence[int], skip_special_tokens: bool = True
) -> str:
    """Return the text that ids add to the ids before them; see `Detokeniser`."""
    return Detokeniser(tokenizer, before, skip_special_tokens)(ids)


def behind_specials(ids: Sequence[int], special: Collection[int]) -> Sequence[int]:
    """Return the ids behind the last special one."""
    last = next((place for place in range(len(ids) - 1, -1, -1) if ids[place] in special), -1)
    return ids[last + 1 :]


def token_texts(tokenizer: PreTrainedTokenizerFast, ids: Sequence[int], before: Sequence[int] = ()) -> list[str]:
    """Return the text of each token in its place; joined they are the text. Bytes of a character come with its last one."""
    found: list[str] = []
    stream = TextStream(tokenizer, lambda _, text: found.append(text), [before], skip_special_tokens=False)
    for number, token in enumerate(ids, 1):
        stream(0, token)
        found += [""] * (number - len(found))
    return found


class TextStream:
    """Turns a row's tokens into text as they come; bytes of an unfinished character are held back.

    prompts: the ids that each row goes on from; nothing means that a row begins a text.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        on_text: OnText,
        prompts: Sequence[Sequence[int]] = (),
        skip_special_tokens: bool = True,
    ) -> None:
        self._on_text = on_text
        special = special_ids(tokenizer)
        self._begun = Detokeniser(tokenizer, (), skip_special_tokens, special)
        self._texts = [Detokeniser(tokenizer, prompt, skip_special_tokens, special) for prompt in prompts]
        self._ids: dict[int, list[int]] = {}
        self._shown: dict[int, int] = {}

    def __call__(self, row: int, token: int) -> None:
        """Take one token of a row; call `on_text(row, new text)` where there is any."""
        ids = self._ids.setdefault(row, [])
        ids.append(token)
        text = (self._texts[row] if row < len(self._texts) else self._begun)(ids)
        shown = self._shown.get(row, 0)
        if len(text) > shown and not text.endswith("\ufffd"):
            self._shown[row] = len(text)
            self._on_text(row, text[shown:])
