"""Sentences of the standard library's documentation with made-up contacts among them: personal data without any person."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import numpy as np

from omnitrain.api import numpy_generator
from omnitrain_language.data.builtin.prose import builtin_documents

SEED = 20230216
SENTENCES_PER_DOCUMENT = 6
_SHORTEST, _LONGEST = 25, 160
_END = re.compile(r"(?<=[.!?])\s+")
# What scrubadub would find by itself is left out, so that the contacts are all there is.
_SUSPECT = re.compile(r"[@/\\\d]|www|http|login|user|pass|\.com|\bat\b", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z]+")

_FIRST = [
    "anna",
    "ben",
    "carla",
    "david",
    "emma",
    "frank",
    "grace",
    "henry",
    "iris",
    "jack",
    "karen",
    "leo",
    "mona",
    "nina",
    "oscar",
    "paula",
    "quinn",
    "rosa",
    "sam",
    "tina",
]
_LAST = [
    "adams",
    "brown",
    "clark",
    "davis",
    "evans",
    "fisher",
    "green",
    "hill",
    "irwin",
    "jones",
    "king",
    "lopez",
    "moore",
    "nolan",
    "owens",
    "price",
    "reed",
    "stone",
]
_DOMAINS = ["mail.com", "post.org", "inbox.net", "letters.com", "example.org", "webmail.net"]
_AREAS = ["212", "213", "305", "312", "404", "415", "503", "512", "617", "702"]
_PATHS = ["home", "about", "team", "contact", "news", "help"]
_TEMPLATES = {
    "email": (
        "Please write to {} for details.",
        "Send your answer to {} before the end of the week.",
        "The author can be reached at {} in the morning.",
        "Questions are welcome, {} is the right address.",
    ),
    "phone": (
        "Call {} to make an appointment.",
        "Our office has the number {} during the day.",
        "You can dial {} and ask for help.",
        "In an emergency ring {} at once.",
    ),
    "url": (
        "More of this is found on {} in the archive.",
        "Visit {} to read the whole story.",
        "A copy lies under {} for everybody.",
        "See {} for further examples.",
    ),
}


def _pick(generator: np.random.Generator, options: tuple[str, ...] | list[str]) -> str:
    return options[int(generator.integers(len(options)))]


def contact(generator: np.random.Generator) -> str:
    """Return a sentence with one made-up e-mail address, phone number or web address."""
    kind = _pick(generator, list(_TEMPLATES))
    if kind == "email":
        number = int(generator.integers(10, 100))
        detail = f"{_pick(generator, _FIRST)}.{_pick(generator, _LAST)}{number}@{_pick(generator, _DOMAINS)}"
    elif kind == "phone":
        exchange, line = int(generator.integers(220, 990)), int(generator.integers(1000, 10000))
        detail = f"({_pick(generator, _AREAS)}) {exchange}-{line}"
    else:
        detail = f"https://{_pick(generator, _LAST)}.{_pick(generator, _DOMAINS)}/{_pick(generator, _PATHS)}"
    return _pick(generator, _TEMPLATES[kind]).format(detail)


@cache
def plain_sentences() -> tuple[str, ...]:
    """Return sentences of the documentation, each once, that look like prose and hold nothing personal."""
    return tuple(_plain())


def _plain() -> Iterator[str]:
    seen: set[str] = set()
    for _, text, _ in builtin_documents("prose"):
        for paragraph in text.split("\n\n"):
            joined = " ".join(paragraph.split())
            for sentence in _END.split(joined):
                words = len(_WORD.findall(sentence))
                usable = _SHORTEST <= len(sentence) <= _LONGEST and sentence[:1].isupper() and sentence[-1] in ".!?"
                if usable and words >= 5 and not _SUSPECT.search(sentence) and sentence not in seen:
                    seen.add(sentence)
                    yield sentence


def contact_documents(share: float, sentences: int) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of documents of six sentences, of which `share` are contacts; always the same ones.

    sentences: how many in all, limited by what the documentation has.
    """
    generator = numpy_generator(SEED)
    plain = plain_sentences()
    order = generator.permutation(len(plain))[:sentences]
    for number, start in enumerate(range(0, len(order) - SENTENCES_PER_DOCUMENT + 1, SENTENCES_PER_DOCUMENT)):
        chosen = [plain[i] for i in order[start : start + SENTENCES_PER_DOCUMENT]]
        planted = generator.random(len(chosen)) < share
        parts = [contact(generator) if hit else text for hit, text in zip(planted, chosen, strict=True)]
        yield f"contacts:{number}", " ".join(parts)


def contact_pairs(count: int) -> list[tuple[str, str]]:
    """Return (sentence, "contact" or "plain"), half of each: a classification task that needs no file."""
    generator = numpy_generator(SEED + 1)
    plain = plain_sentences()
    chosen = [plain[i] for i in generator.permutation(len(plain))[: count // 2]]
    return [(text, "plain") for text in chosen] + [(contact(generator), "contact") for _ in chosen]
