"""Cut documents into segments that, joined, are the document again."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from omnitrain.errors import EnvironmentFault

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_WORD = re.compile(r"\S+")
# The cut of longer words is not remembered.
_LONGEST = 64


def split_lines(text: str) -> list[str]:
    """Return the lines with their ends; \\r\\n is one end, and only \\r and \\n end lines."""
    return _LINE.findall(text)


class _Rules(NamedTuple):
    """spaCy's rules. ends: signs that end sentences; to_end finds what may be one and the rest of its word.

    specials: abbreviations, contractions and emoticons. firsts: what tokens stand in front of another one in them; seconds:
    those others by their first character, which `behind` finds behind a blank.
    """

    pipeline: Any
    ends: frozenset[str]
    to_end: re.Pattern[str]
    specials: frozenset[str]
    firsts: Mapping[str, tuple[str, ...]]
    seconds: Mapping[str, Sequence[str]]
    behind: re.Pattern[str]


@cache
def _rules() -> _Rules:
    try:
        import spacy
    except ImportError as error:
        raise EnvironmentFault("segments: sentences needs spaCy: pip install spacy") from error
    pipeline: Any = spacy.blank("en")
    ends = frozenset(pipeline.add_pipe("sentencizer").punct_chars)
    pipeline.max_length = 2**31
    # All characters of the supplementary planes count as signs here, since one by one they would slow the search down.
    signs = "".join(re.escape(sign) for sign in sorted(ends) if ord(sign) < 2**16) + "\U00010000-\U0010ffff"
    specials = frozenset(pipeline.tokenizer.rules)
    # As the tokenizer's second pass sees them, without the rule itself.
    bare: Any = spacy.blank("en").tokenizer
    bare.rules = {}
    firsts: dict[str, set[str]] = defaultdict(set)
    for special in sorted(specials):
        for before, behind in pairwise(token.text for token in bare(special)):
            firsts[behind].add(before)
    seconds = {first: [second for second in firsts if second[0] == first] for first in {second[0] for second in firsts}}
    initials = "".join(map(re.escape, sorted(seconds)))
    to_end, found = re.compile(rf"[{signs}]\S*"), re.compile(rf" (?=[{initials}])")
    return _Rules(pipeline, ends, to_end, specials, {second: tuple(kinds) for second, kinds in firsts.items()}, seconds, found)


def _is_torn(text: str) -> bool:
    """Tell whether two neighbouring tokens of a special case stand in a text with a blank between."""
    rules = _rules()
    for match in rules.behind.finditer(text):
        place = match.start()
        for second in rules.seconds[text[place + 1]]:
            end = place + 1 + len(second)
            whole = not (second[-1].isalpha() and text[end : end + 1].isalpha())
            if whole and text.startswith(second, place + 1) and text.endswith(rules.firsts[second], 0, place):
                return True
    return False


class _Cut(NamedTuple):
    """starts: offsets in a word at which sentences begin. ended: whether one has ended and the next has not begun.

    fragile: the word holds a special case that spaCy would not see behind or in front of a torn one.
    """

    starts: tuple[int, ...]
    ended: bool
    fragile: bool


def _cut(word: str, ended: bool) -> _Cut:
    """Cut a word; ended: as of the word before, so that the first token that is no punctuation begins a sentence."""
    rules = _rules()
    starts, fragile = [], False
    for token in rules.pipeline.tokenizer(word):
        special = 1 < len(token) < len(word) and token.text in rules.specials
        if token.text in rules.ends:
            ended = True
        elif ended and not token.is_punct:
            starts.append(token.idx)
            ended = False
            fragile |= special
        fragile |= special and not rules.ends.isdisjoint(token.text)
    return _Cut(tuple(starts), ended, fragile)


_remembered = lru_cache(maxsize=2**16)(_cut)


def split_sentences(text: str) -> list[str]:
    """Return the sentences of spaCy's rule-based splitter, each with the one blank behind it.

    Further blanks and newlines begin the next segment. spaCy makes the tokens of each word (what stands between blanks) for
    itself, so only words with a sign that may end a sentence are handed to it, and those behind them that begin with neither
    letter nor digit; their cuts are remembered. Its one exception are special cases torn by a blank (": )"), which hide those
    that overlap with them: a text that may have such a place is handed to it as a whole.
    """
    if not text:
        return []
    starts, fragile = _sentence_starts(text)
    if fragile and _is_torn(text):
        return split_by_spacy(text)
    return [text[begin:end] for begin, end in pairwise([*starts, len(text)])]


def _sentence_starts(text: str) -> tuple[list[int], bool]:
    """Return where sentences begin, and whether any word is fragile (see `_Cut`)."""
    find = _rules().to_end.search
    starts, ended, fragile = [0], False, False
    place, match = 0, find(text)
    while match is not None:
        word, end = _word_before(text, place, match.start()) + match.group(), match.end()
        cut = (_remembered if len(word) <= _LONGEST else _cut)(word, ended)
        if cut.starts:
            starts += [end - len(word) + offset for offset in cut.starts]
        ended, fragile = cut.ended, fragile or cut.fragile
        # The blank behind a word is its own.
        place = end + text.startswith(" ", end)
        begun = text[place : place + 1]
        if ended and begun and not begun.isalnum() and not begun.isspace():
            match = _WORD.match(text, place)
            continue
        if ended and begun:
            starts.append(place)
            ended = False
        match = find(text, place)
    return starts, fragile


def _word_before(text: str, start: int, end: int) -> str:
    """Return the beginning, behind the last blank in text[start:end], of a word that goes on at `end`."""
    before = text[start:end]
    return before.rsplit(None, 1)[-1] if before and not before[-1].isspace() else ""


def split_by_spacy(text: str) -> list[str]:
    """Return the sentences as spaCy gives them, token by token."""
    return [sentence.text_with_ws for sentence in _rules().pipeline(text).sents]


def split_document(text: str) -> list[str]:
    """Return the document as one segment, none where it is empty."""
    return [text] if text else []


SPLITTERS: dict[str, Callable[[str], list[str]]] = {
    "sentences": split_sentences,
    "lines": split_lines,
    "document": split_document,
}
