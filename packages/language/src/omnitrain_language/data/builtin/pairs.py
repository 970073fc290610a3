"""Pairs that are on every machine, read off the standard library's source text: what an object is, what it does."""

from __future__ import annotations

import ast
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from omnitrain.errors import DataError, UsageError, nearest
from omnitrain_language.data.builtin.prose import library_root, library_sources, parse

BUILTIN = "builtin:"
PAIRS = ("kinds", "summaries")
_SHORTEST, _LONGEST = 12, 200
_END = re.compile(r"(?<=[.!?])\s")
_Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class LibraryPair(NamedTuple):
    """module: the key by which splits are cut; the documents of `language/text` are cut by the same key."""

    inputs: str
    targets: str
    module: str


@dataclass(frozen=True)
class LibraryObject:
    """kind: "module", "class", "function" or "method". summary: first sentence of the docstring, in one line."""

    kind: str
    name: str
    summary: str
    module: str


def first_sentence(docstring: str) -> str:
    """Return the first sentence of a docstring's first paragraph, blanks joined."""
    paragraph = " ".join(docstring.strip().split("\n\n")[0].split())
    return _END.split(paragraph)[0]


def objects_of(source: str, module: str) -> Iterator[LibraryObject]:
    """Yield a module's objects that have a docstring, in their order, without running it."""
    tree = parse(source)
    if tree is None:
        return

    def walk(node: ast.Module | _Definition, kind: str, name: str) -> Iterator[LibraryObject]:
        text = ast.get_docstring(node)
        summary = first_sentence(text) if text else ""
        if _SHORTEST <= len(summary) <= _LONGEST and "\0" not in summary:
            yield LibraryObject(kind, name, summary, module)
        # What is defined inside of a function has no name of its own.
        for child in node.body if kind in ("module", "class") else ():
            if isinstance(child, _Definition):
                inner = "method" if kind == "class" else "function"
                yield from walk(child, "class" if isinstance(child, ast.ClassDef) else inner, f"{name}.{child.name}")

    yield from walk(tree, "module", module)


def _place(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest()


def kinds_of(objects: Sequence[LibraryObject]) -> list[LibraryPair]:
    """Return summary -> kind of object, of no kind more than three times the rarest; summaries of two kinds are left out."""
    kinds: dict[str, set[str]] = defaultdict(set)
    for item in objects:
        kinds[item.summary].add(item.kind)
    groups: dict[str, dict[str, LibraryPair]] = defaultdict(dict)
    for item in objects:
        if len(kinds[item.summary]) == 1:
            groups[item.kind].setdefault(item.summary, LibraryPair(item.summary, item.kind, item.module))
    size = 3 * min((len(group) for group in groups.values()), default=0)
    return [
        pair for _, group in sorted(groups.items()) for pair in sorted(group.values(), key=lambda p: _place(p.inputs))[:size]
    ]


def summaries_of(objects: Sequence[LibraryObject]) -> list[LibraryPair]:
    """Return qualified name -> summary, each name once."""
    pairs: dict[str, LibraryPair] = {}
    for item in objects:
        pairs.setdefault(item.name, LibraryPair(item.name, item.summary, item.module))
    return list(pairs.values())


@lru_cache(maxsize=1)
def library_objects() -> tuple[LibraryObject, ...]:
    """Return all objects of the standard library; they stay in memory (2 MB), since parsing the library takes seconds."""
    return tuple(found for module, source in library_sources(library_root()) for found in objects_of(source, module))


@lru_cache(maxsize=2)
def library_pairs(name: str) -> tuple[LibraryPair, ...]:
    """Return the pairs "kinds" or "summaries", in an order by stable hash.

    Raises UsageError for another name, DataError where the standard library has no source text.
    """
    if name not in PAIRS:
        raise UsageError(f"path '{BUILTIN}{name}': there are no such built-in pairs. {nearest(name, PAIRS)}")
    pairs = (kinds_of if name == "kinds" else summaries_of)(library_objects())
    if not pairs:
        raise DataError(
            f"the standard library at {library_root()} has no source text, so '{BUILTIN}{name}' is empty: "
            "set path to a file of yours"
        )
    return tuple(sorted(pairs, key=lambda pair: _place(pair.inputs)))
