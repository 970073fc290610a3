"""Real English and Python that lies on every machine: the standard library's documentation and source text."""

from __future__ import annotations

import ast
import hashlib
import inspect
import sysconfig
import warnings
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from omnitrain.errors import DataError

# Tests, generated tables and vendored or platform-dependent parts differ between patch versions and distributions.
_LEFT_OUT = frozenset(
    {"test", "tests", "idlelib", "lib2to3", "encodings", "ensurepip", "site-packages", "dist-packages", "pydoc_data"}
    | {"turtledemo", "__pycache__", "config", "lib-dynload", "__phello__"}
)
_SHORTEST = 40
_TOPICS = Path("pydoc_data", "topics.py")
# To be raised whenever other documents are made of the same source bytes.
_FORMAT = b"1"


def _modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield (dotted name, file) of the standard library's modules, in the order of their names."""
    found = []
    for path in root.rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        if not any(p in _LEFT_OUT or p.startswith(("_sysconfigdata", "config-")) for p in parts):
            found.append((".".join(parts), path))
    yield from sorted(found)


def parse(source: str) -> ast.Module | None:
    """Return the syntax tree of a source text, None where it has none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError):
            return None


def _definitions(tree: ast.Module) -> Iterator[ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield what may have a docstring. Only statements hold such nodes, so expressions, most of a tree, are passed over."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        for held in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting += getattr(node, held, ())


def docstrings(source: str) -> list[str]:
    """Return the cleaned docstrings of a module's source, in their order, without running it."""
    tree = parse(source)
    if tree is None:
        return []
    found = []
    for node in _definitions(tree):
        text = ast.get_docstring(node)
        if text and len(text) >= _SHORTEST:
            found.append((node.body[0].lineno, text))
    return [text for _, text in sorted(found)]


def _topics(root: Path) -> Iterator[tuple[str, str]]:
    path = root / _TOPICS
    tree = parse(path.read_text("utf-8")) if path.is_file() else None
    for node in tree.body if tree else ():
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            for key, text in sorted(ast.literal_eval(node.value).items()):
                yield f"topic:{key}", inspect.cleandoc(text)


def library_root() -> Path:
    """Return the folder of the standard library."""
    return Path(sysconfig.get_paths()["stdlib"])


def library_sources(root: Path) -> Iterator[tuple[str, str]]:
    """Yield (dotted name, source text) of the standard library's readable modules, in the order of their names."""
    for name, path in _modules(root):
        try:
            source = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        yield name, source


@lru_cache(maxsize=1)
def library_digest() -> bytes:
    """Return a hash of the standard library's source bytes and of the way documents are made of them, without parsing."""
    root = library_root()
    digest = hashlib.blake2b(_FORMAT, digest_size=16)
    for name, path in [*_modules(root), ("topics", root / _TOPICS)]:
        try:
            content = path.read_bytes()
        except OSError:
            continue
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.digest()


@lru_cache(maxsize=2)
def builtin_documents(content: str) -> tuple[tuple[str, str, str], ...]:
    """Return (id, text, module) of all built-in documents of "prose", "code" or "both".

    A module's prose and code share the third entry, by which splits are cut, so that neither leaks into another split.
    The documents stay in memory (at most 15 MB), since parsing the library takes seconds.
    Raises DataError where the standard library has no source text.
    """
    root = library_root()
    documents = []
    for name, source in library_sources(root):
        if content in ("prose", "both"):
            text = "\n\n".join(docstrings(source))
            if text:
                documents.append((f"prose:{name}", text, name))
        if content in ("code", "both") and source.strip():
            documents.append((f"code:{name}", source, name))
    if content in ("prose", "both"):
        documents.extend((key, text, key) for key, text in _topics(root))
    documents = [d for d in documents if "\0" not in d[1]]
    if not documents:
        raise DataError(
            f"the standard library at {root} has no source text, so path 'builtin' is empty: set path to files of yours"
        )
    return tuple(documents)
