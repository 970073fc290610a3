"""From text to ids: special tokens that a text spells out stay ordinary text, and ids know their place in it."""

from __future__ import annotations

import copy
import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def vocabulary_size(tokenizer: PreTrainedTokenizerFast) -> int:
    """Return the highest id and one: what tables by id need, since ids may have holes that `len` does not count."""
    return 1 + max(int(number) for number in tokenizer.get_vocab().values())


def special_ids(tokenizer: PreTrainedTokenizerFast) -> set[int]:
    """Return the ids that stand for no text: start, end, padding, turns. Unknown characters are text."""
    marked = {int(i) for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    unknown = tokenizer.unk_token_id
    only_unknown = unknown is not None and unknown not in (tokenizer.eos_token_id, tokenizer.bos_token_id)
    return (marked | {int(i) for i in tokenizer.all_special_ids}) - ({int(unknown)} if only_unknown else set())


def start_ids(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Return what the tokenizer puts in front of every text."""
    found = tokenizer("a", return_special_tokens_mask=True)
    added = found["special_tokens_mask"]
    return [int(i) for i in found.input_ids[: added.index(0)]] if 0 in added else []


@dataclass(frozen=True)
class Encoded:
    """ids of a text and, for each, where its characters begin and end."""

    ids: list[int]
    offsets: list[tuple[int, int]]

    def behind(self, character: int) -> int:
        """Return the number of the first token that reaches behind a character."""
        return bisect_right(self.offsets, character, key=lambda place: place[1])

    def beginning_at(self, character: int) -> int:
        """Return the number of the first token that begins at a character or behind it."""
        return bisect_left(self.offsets, character, key=lambda place: place[0])


def encode_with_specials(tokenizer: PreTrainedTokenizerFast, text: str) -> Encoded:
    """Return the ids of a text in which special tokens mean themselves, as in a rendered chat template."""
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return Encoded([int(i) for i in found.input_ids], [(int(a), int(b)) for a, b in found["offset_mapping"]])


class Encoder:
    """Encodes documents: no special token is added, and those written in the text are encoded as ordinary text.

    means_specials: those written in the text mean themselves, as in a rendered chat template.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, means_specials: bool = False) -> None:
        backend = tokenizer.backend_tokenizer
        self._backend = _bare(copy.deepcopy(backend), True) if means_specials else _plain(backend)

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text."""
        return [e.ids for e in self._backend.encode_batch_fast(list(texts), add_special_tokens=False)]

    def with_offsets(self, texts: Sequence[str]) -> list[Encoded]:
        """Return the ids of each text with their places in it."""
        return [Encoded(e.ids, e.offsets) for e in self._backend.encode_batch(list(texts), add_special_tokens=False)]

    def keeps_parts(self, tokenizer: PreTrainedTokenizerFast) -> bool:
        """Whether texts encoded on their own and laid side by side are the text that the parts make together."""
        for first, second in (("x", "y"), ("x:\n", "    y")):
            ids = [i for row in self([first, second]) for i in row]
            if str(tokenizer.decode(ids, clean_up_tokenization_spaces=False)) != first + second:
                return False
        return True


def _plain(backend: Any) -> Any:
    """Return a copy of a tokenizer to which special tokens are text like any other."""
    plain = _bare(copy.deepcopy(backend))
    specials = {int(i): str(token.content) for i, token in backend.get_added_tokens_decoder().items() if token.special}
    spelled = {content for number, content in specials.items() if _writes(plain, content, number)}
    return _without(plain, spelled) if spelled else plain


def _bare(backend: Any, means_specials: bool = False) -> Any:
    backend.encode_special_tokens = not means_specials
    backend.no_truncation()
    backend.no_padding()
    return backend


def _writes(plain: Any, content: str, number: int) -> bool:
    """Whether text that spells a special token out becomes its id, as where it is a piece of the model too (T5)."""
    spelled = [content, f"a {content}", f"a{content}a"]
    return any(number in encoding.ids for encoding in plain.encode_batch(spelled, add_special_tokens=False))


def _without(plain: Any, spelled: Iterable[str]) -> Any:
    """Return the tokenizer with these pieces under names that no text holds, their ids kept."""
    from tokenizers import Tokenizer

    gone = set(spelled)
    content: dict[str, Any] = json.loads(plain.to_str())
    model = content["model"]
    # By name the unknown token must stay: the model looks it up. It also stands for what it spells.
    gone.discard(model.get("unk_token", ""))
    if isinstance(model["vocab"], dict):
        model["vocab"] = {f"\0{piece}" if piece in gone else piece: number for piece, number in model["vocab"].items()}
    else:
        model["vocab"] = [[f"\0{piece}" if piece in gone else piece, score] for piece, score in model["vocab"]]
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] not in gone]
    return _bare(Tokenizer.from_str(json.dumps(content)))
