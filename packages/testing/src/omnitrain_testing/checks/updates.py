"""Every gradient step goes through the engine, which looks for NaN and infinity; a bare one would train on with them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omnitrain_testing.examination import Examination

MARK = "# own update:"
_ADVICE = (
    "call Engine.backward and Engine.update and give what it returns to a Guard (or use Trainer), or say behind the line why "
    f"not: '{MARK} REASON'"
)


def guarded(examination: Examination) -> Iterator[str]:
    """Losses are differentiated and optimisers stepped by the engine, and what became of an update is looked at.

    Benches, golden vectors and measures in evidence are left out: they train nothing that a user gets.
    """
    root = examination.package
    if root is None:
        return
    for file in sorted(root.rglob("*.py")):
        inner = file.relative_to(root)
        if inner.parts[0] != "evidence":
            yield from bare_updates(file.read_text(encoding="utf-8"), inner)


def bare_updates(source: str, place: Path) -> Iterator[str]:
    """Yield a sentence for each update of a module that nothing guards. place: how the module is named in it."""
    lines = source.splitlines()
    tree = ast.parse(source)
    ignored = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner, called = _last_name(node.func.value), node.func.attr
        if MARK in "\n".join(lines[node.lineno - 1 : node.end_lineno]):
            continue
        if called == "backward" and "engine" not in owner:
            yield f"{place}:{node.lineno} calls backward of {owner or 'a value'} itself, where NaN is never noticed: {_ADVICE}."
        elif called == "step" and ("optim" in owner or owner in ("opt", "sgd", "adam")):
            yield f"{place}:{node.lineno} steps {owner} itself, so that NaN reaches the weights: {_ADVICE}."
        elif called == "update" and "engine" in owner and id(node) in ignored:
            yield f"{place}:{node.lineno} drops what became of an update: give it to Guard.note, which ends a training of NaN."


def _last_name(node: ast.expr) -> str:
    """Return the last name of `self._engine` or `engine`, or "" for anything else, such as a call."""
    if isinstance(node, ast.Attribute):
        return node.attr.lower()
    return node.id.lower() if isinstance(node, ast.Name) else ""
