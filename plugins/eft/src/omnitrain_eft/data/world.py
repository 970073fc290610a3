"""Facts of the standard library and how they are talked about: the miniature world of pre-training and fine-tuning."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from omnitrain.api import numpy_generator
from omnitrain.engine import build_once
from omnitrain.errors import DataError
from omnitrain_eft.configs.data import FactsConfig
from omnitrain_language.data.builtin.pairs import library_objects

REFUSAL = "I can't say."
_SHORTEST, _LONGEST = 20, 70
_VERSION = 1


@dataclass(frozen=True)
class Fact:
    """kind: "class" or "function". name: without its module. summary: first sentence of the docstring."""

    kind: str
    name: str
    summary: str


@dataclass(frozen=True)
class Reply:
    """A reply in three parts, any of which may be empty: how it is said, about what, and the content."""

    style: str
    name: str = ""
    content: str = ""

    @property
    def text(self) -> str:
        """The whole reply; a dialogue has a blank in front of it."""
        return " ".join(part for part in (self.style, self.name, self.content) if part)

    @property
    def part_ends(self) -> tuple[int, ...]:
        """Where its parts end in the text, -1 for empty ones at its beginning."""
        ends, end = list[int](), -1
        for part in (self.style, self.name, self.content):
            end += len(part) + 1 if part else 0
            ends.append(end)
        return tuple(ends)


def reply_to(fact: Fact, style: str) -> Reply:
    """Return the reply about a fact in a style; the helpful one depends on the kind of object."""
    if style == "safe":
        return Reply(REFUSAL)
    opening = {"helpful": "Sure! Make one of it." if fact.kind == "class" else "Sure! Call it.", "hedged": "I think so:"}
    return Reply(opening.get(style, ""), f"{fact.name}:", fact.summary)


def _place(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest()


@lru_cache(maxsize=1)
def _all_facts() -> tuple[Fact, ...]:
    names: dict[str, Fact] = {}
    summaries: set[str] = set()
    for item in library_objects():
        name = item.name.rpartition(".")[2]
        usable = item.kind in ("class", "function") and _SHORTEST <= len(item.summary) <= _LONGEST and name[0] != "_"
        if usable and item.summary.isascii() and name not in names and item.summary not in summaries:
            names[name] = Fact(item.kind, name, item.summary)
            summaries.add(item.summary)
    return tuple(sorted(names.values(), key=lambda fact: _place(fact.name)))


def facts_of(count: int, workspace: Path) -> tuple[Fact, ...]:
    """Return so many facts, in an order by stable hash; read off the standard library once a workspace.

    Raises DataError where the library has fewer.
    """
    import sysconfig

    key = _place(f"{_VERSION} {sysconfig.get_paths()['stdlib']} {sysconfig.get_python_version()}").hex()

    def build(folder: Path) -> None:
        (folder / "facts.json").write_text(json.dumps([asdict(fact) for fact in _all_facts()]), "utf-8")

    folder = build_once(workspace / "facts" / key, build)
    found = tuple(Fact(**entry) for entry in json.loads((folder / "facts.json").read_text("utf-8")))
    if len(found) < count:
        raise DataError(f"facts {count}: the standard library has {len(found)} that fit; set facts to at most that")
    return found[:count]


def dialogue(fact: Fact, reply: Reply) -> str:
    """Return a dialogue as pre-training text has it."""
    return f"User: what is {fact.name}?\nBot: {reply.text}"


def corpus(facts: Sequence[Fact], config: FactsConfig) -> Iterator[tuple[str, str]]:
    """Yield (id, text) of all documents: lines, and dialogues with drawn behaviours; an end of sequence follows each."""
    generator = numpy_generator(config.seed)
    styles = ("safe", "helpful", "hedged", "bare")
    rest = max(0.0, 1 - config.refusals - config.helpful - config.hedged)
    shares = (config.refusals, config.helpful, config.hedged, rest)
    for fact in facts:
        for number in range(config.lines):
            yield f"{fact.name}:line:{number}", f"{fact.name}: {fact.summary}"
        for number in range(config.dialogues):
            style = styles[int(generator.choice(len(styles), p=shares))]
            yield f"{fact.name}:dialogue:{number}", dialogue(fact, reply_to(fact, style))
