"""Rows of tokens of dialogues: the whole text is encoded at once, and the reply is what of it stands behind the prompt."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omnitrain.errors import DataError
from omnitrain_language.chat_templates import Message, rendered_chat
from omnitrain_language.dialogues.messages import Prompt, messages_of
from omnitrain_language.dialogues.templates import prompt_text, reply_text
from omnitrain_language.encoding import Encoded, Encoder, encode_with_specials, special_ids, start_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class Dialogue:
    """A prompt, which may hold earlier turns, and the reply to it.

    part_ends: where the parts of the reply end, in characters, -1 for a part that is empty; without any it is one part.
    """

    prompt: Prompt
    reply: str
    part_ends: tuple[int, ...] = ()

    @property
    def ends(self) -> tuple[int, ...]:
        """The ends of the parts; a reply without parts is one."""
        return self.part_ends or (len(self.reply),)


@dataclass(frozen=True)
class Row:
    """Ids of prompt and reply, its end behind.

    parts: for each token of the reply the number of the part it belongs to; the end of the turn comes behind the last.
    """

    prompt: list[int]
    reply: list[int]
    parts: list[int]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.reply)


class RowEncoder:
    """Encodes dialogues in one template as a model reads them when it replies."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, template: str) -> None:
        self._tokenizer, self._template = tokenizer, template
        self._encode = Encoder(tokenizer)
        self._start, self._eos = start_ids(tokenizer), int(tokenizer.eos_token_id)
        texts = [str(tokenizer.convert_ids_to_tokens(i)) for i in sorted(special_ids(tokenizer))]
        self._special = re.compile("|".join(map(re.escape, sorted(texts, key=len, reverse=True))))
        # Text around prompts that names special tokens itself, as chat templates do, means them.
        self._means_specials = template == "chat" or self._special.search(template) is not None

    def spelled(self, dialogue: Dialogue) -> str | None:
        """Return a special token that the dialogue's own text spells out where it would be taken for the token itself."""
        if not self._means_specials:
            return None
        texts = [dialogue.reply, *(message["content"] for message in messages_of(dialogue.prompt))]
        return next((found[0] for text in texts if (found := self._special.search(text))), None)

    def __call__(self, dialogue: Dialogue) -> Row:
        """Return the row of a dialogue. Raises DataError for a chat template that can't be cut into prompt and reply."""
        messages = messages_of(dialogue.prompt)
        if self._template == "chat":
            return self._chat(messages, dialogue)
        asked = prompt_text(messages, self._template)
        answer = reply_text(asked, dialogue.reply)
        encoded = self._encoded(asked + answer)
        place = encoded.behind(len(asked))
        parts = list(_parts(encoded, place, len(asked) + len(answer) - len(dialogue.reply), dialogue))
        return Row([*self._start, *encoded.ids[:place]], [*encoded.ids[place:], self._eos], [*parts, len(dialogue.ends)])

    def _encoded(self, text: str) -> Encoded:
        if self._means_specials:
            return encode_with_specials(self._tokenizer, text)
        return self._encode.with_offsets([text])[0]

    def _chat(self, messages: Sequence[Message], dialogue: Dialogue) -> Row:
        reply = dialogue.reply
        asked = rendered_chat(messages, self._tokenizer, asks=True)
        whole = rendered_chat([*messages, {"role": "assistant", "content": reply}], self._tokenizer, asks=False)
        if not whole.startswith(asked):
            raise DataError(
                "template chat: this tokenizer's chat template writes a dialogue with its reply in another way than the same "
                f"dialogue before the reply (it asks with {asked[-40:]!r}), so that no row can be cut into both: write the "
                "template as a text with {prompt}, or give the tokenizer a chat template that only adds to what it asked"
            )
        text = reply.strip()
        start = whole.find(text, len(asked))
        if start < 0:
            raise DataError(
                f"template chat: this tokenizer's chat template changes the text of a reply, {text[:60]!r}: write the template "
                "as a text with {prompt}, or give the tokenizer a chat template that keeps replies as they are"
            )
        encoded = encode_with_specials(self._tokenizer, whole)
        place = encoded.behind(len(asked))
        # The text may have lost blanks at its ends.
        start -= len(reply) - len(reply.lstrip())
        return Row(encoded.ids[:place], encoded.ids[place:], list(_parts(encoded, place, start, dialogue)))


def _parts(encoded: Encoded, place: int, start: int, dialogue: Dialogue) -> Iterator[int]:
    """Yield the part of each token from `place` on: that in which it ends; what begins behind the text is the end.

    start: where the reply's text begins.
    """
    ends = dialogue.ends
    last = start + len(dialogue.reply.rstrip())
    for begin, stop in encoded.offsets[place:]:
        if begin >= last:
            yield len(ends)
        else:
            yield next((number for number, end in enumerate(ends) if stop - start <= end), len(ends) - 1)
