"""Rows of tokens of dialogues: the whole text is encoded at once, and a reply is what of it stands behind its question."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from omnitrain.errors import DataError
from omnitrain_language.chat_templates import Message, rendered_chat
from omnitrain_language.dialogues.messages import Prompt, messages_of
from omnitrain_language.dialogues.templates import prompt_text, reply_text
from omnitrain_language.encoding import Encoded, Encoder, special_ids, start_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Turns = Literal["last", "all"]


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
    earlier: the same for the tokens of the prompt, -1 outside of earlier replies; empty where those do not count.
    """

    prompt: list[int]
    reply: list[int]
    parts: list[int]
    earlier: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.prompt) + len(self.reply)

    @property
    def every_part(self) -> list[int]:
        """The part of each token of the row, -1 for those that are not replied."""
        return [*(self.earlier or [-1] * len(self.prompt)), *self.parts]

    def begun_with(self, token: int) -> Row:
        """Return the row with a token in front, unless it is there."""
        if self.prompt[:1] == [token]:
            return self
        return replace(self, prompt=[token, *self.prompt], earlier=[-1, *self.earlier] if self.earlier else ())

    def cut(self, length: int) -> Row:
        """Return the first tokens of the row."""
        kept = max(0, length - len(self.prompt))
        return Row(self.prompt[:length], self.reply[:kept], self.parts[:kept], self.earlier[:length])


@dataclass(frozen=True)
class _Reply:
    """A reply in a text. asked: where the model begins to write. start, stop: its own text. end: that of its turn."""

    asked: int
    start: int
    stop: int
    end: int
    part_ends: tuple[int, ...]


class RowEncoder:
    """Encodes dialogues in one template as a model reads them when it replies. turns: which replies have parts."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, template: str, turns: Turns = "last") -> None:
        self._tokenizer, self._template, self._turns = tokenizer, template, turns
        self._start, self._eos = start_ids(tokenizer), int(tokenizer.eos_token_id)
        texts = [str(tokenizer.convert_ids_to_tokens(i)) for i in sorted(special_ids(tokenizer))]
        self._special = re.compile("|".join(map(re.escape, sorted(texts, key=len, reverse=True))))
        # Text around prompts that names special tokens itself, as chat templates do, means them.
        self._means_specials = template == "chat" or self._special.search(template) is not None
        self._encode = Encoder(tokenizer, self._means_specials)

    def spelled(self, dialogue: Dialogue) -> str | None:
        """Return a special token that the dialogue's own text spells out where it would be taken for the token itself."""
        if not self._means_specials:
            return None
        texts = [dialogue.reply, *(message["content"] for message in messages_of(dialogue.prompt))]
        return next((found[0] for text in texts if (found := self._special.search(text))), None)

    def __call__(self, dialogue: Dialogue) -> Row:
        """Return the row of a dialogue. Raises DataError for a chat template that can't be cut into prompt and reply."""
        return self.rows([dialogue])[0]

    def rows(self, dialogues: Sequence[Dialogue]) -> list[Row]:
        """Return the rows of dialogues, encoded together; raises as for one."""
        written = [self._written(dialogue) for dialogue in dialogues]
        encoded = self._encode.with_offsets([text for text, _ in written])
        return [self._row(found, replies) for found, (_, replies) in zip(encoded, written, strict=True)]

    def _written(self, dialogue: Dialogue) -> tuple[str, list[_Reply]]:
        """Return a dialogue as text, and where in it the replies are that have parts."""
        messages = [*messages_of(dialogue.prompt), {"role": "assistant", "content": dialogue.reply}]
        write = self._chat if self._template == "chat" else self._plain
        numbers = [len(messages) - 1]
        if self._turns == "all":
            numbers = [number for number, message in enumerate(messages) if message["role"] == "assistant" and number]
        return write(messages, numbers, dialogue)

    def _plain(self, messages: Sequence[Message], numbers: Sequence[int], dialogue: Dialogue) -> tuple[str, list[_Reply]]:
        asked = prompt_text(messages[:-1], self._template)
        whole = asked + reply_text(asked, dialogue.reply)
        replies = []
        for number in numbers:
            asked = prompt_text(messages[:number], self._template)
            content = messages[number]["content"]
            answer = reply_text(asked, content)
            if not whole.startswith(asked + answer):
                raise _unlike(self._template, asked)
            stop = len(asked) + len(answer)
            start = stop - len(content)
            replies.append(_Reply(len(asked), start, start + len(content.rstrip()), stop, _part_ends(dialogue, content)))
        replies[-1] = replace(replies[-1], part_ends=dialogue.ends)
        return whole, replies

    def _chat(self, messages: Sequence[Message], numbers: Sequence[int], dialogue: Dialogue) -> tuple[str, list[_Reply]]:
        whole = rendered_chat(messages, self._tokenizer, asks=False)
        replies = []
        for number in numbers:
            asked = rendered_chat(messages[:number], self._tokenizer, asks=True)
            last = number == len(messages) - 1
            through = whole if last else rendered_chat(messages[: number + 1], self._tokenizer, asks=False)
            if not (whole.startswith(through) and through.startswith(asked)):
                raise _unlike("chat", asked)
            content = messages[number]["content"]
            text = content.strip()
            start = through.find(text, len(asked))
            if start < 0:
                raise DataError(
                    f"template chat: this tokenizer's chat template changes the text of a reply, {text[:60]!r}: write the "
                    "template as a text with {prompt}, or give the tokenizer a chat template that keeps replies as they are"
                )
            # The text may have lost blanks at its ends.
            start -= len(content) - len(content.lstrip())
            stop = start + len(content.rstrip())
            replies.append(_Reply(len(asked), start, stop, len(through), _part_ends(dialogue, content)))
        replies[-1] = replace(replies[-1], part_ends=dialogue.ends)
        return whole, replies

    def _row(self, encoded: Encoded, replies: Sequence[_Reply]) -> Row:
        place = encoded.behind(replies[-1].asked)
        parts = list(_parts(encoded, place, len(encoded.ids), replies[-1]))
        earlier: list[int] = []
        for reply in replies[:-1]:
            first, behind = encoded.behind(reply.asked), encoded.behind(reply.end)
            earlier += [-1] * (first - len(earlier))
            earlier += _parts(encoded, first, behind, reply)
        if earlier:
            earlier += [-1] * (place - len(earlier))
        prompt, answer = encoded.ids[:place], encoded.ids[place:]
        if self._template == "chat":
            return Row(prompt, answer, parts, earlier)
        start = self._start
        end = len(replies[-1].part_ends)
        earlier = [-1] * len(start) + earlier if earlier else earlier
        return Row([*start, *prompt], [*answer, self._eos], [*parts, end], earlier)


def _part_ends(dialogue: Dialogue, content: str) -> tuple[int, ...]:
    """Return the parts of an earlier reply: all of its text is of the one before the end."""
    return (*(-1 for _ in dialogue.ends[1:]), len(content))


def _unlike(template: str, asked: str) -> DataError:
    whose = "this tokenizer's chat template" if template == "chat" else "the template"
    return DataError(
        f"template {template}: {whose} writes a dialogue with its reply in another way than the same dialogue before the reply "
        f"(it asks with {asked[-40:]!r}), so that no row can be cut into both: write the template as a text with {{prompt}}, "
        "give the tokenizer a chat template that only adds to what it asked, or train on the last reply of a dialogue alone"
    )


def _parts(encoded: Encoded, first: int, behind: int, reply: _Reply) -> Iterator[int]:
    """Yield the part of each of some tokens: that in which it ends; what begins behind the reply's text is the end."""
    ends = reply.part_ends
    if len(ends) == 1:
        text = min(max(encoded.beginning_at(reply.stop), first), behind)
        yield from [0] * (text - first) + [1] * (behind - text)
        return
    for begin, stop in encoded.offsets[first:behind]:
        if begin >= reply.stop:
            yield len(ends)
        else:
            yield next((number for number, end in enumerate(ends) if stop - reply.start <= end), len(ends) - 1)
