"""Texts to be scored: files, folders, tables and what is built in; whole and unchanged."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from omnitrain.api import user_path
from omnitrain.errors import DataError, UsageError, nearest
from omnitrain_language.data.builtin.prose import builtin_documents, library_digest
from omnitrain_language.folders import find_files
from omnitrain_language.records import PLAIN, RECORDS, Problems, read_fields, text_fault
from omnitrain_phf.configs.stages import ScoreConfig
from omnitrain_phf.scorers.contacts import contact_documents

BUILTIN = ("builtin:prose", "builtin:code", "builtin:contacts")
Document = tuple[str, str]


def documents(config: ScoreConfig, problems: Problems) -> Iterator[Document]:
    """Yield (name, text) of all documents in a fixed order.

    Raises DataError for a path without any, UsageError for an unknown built-in text.
    """
    found = _source(config, problems)
    yield from islice(found, config.max_documents)
    problems.pass_ended()


def _check_builtin(path: str) -> None:
    if path.startswith("builtin:") and path not in BUILTIN:
        raise UsageError(f"path {path!r} is not built in. {nearest(path, BUILTIN)}")


def _source(config: ScoreConfig, problems: Problems) -> Iterator[Document]:
    path = config.path
    _check_builtin(path)
    if path == "builtin:contacts":
        yield from contact_documents(config.contacts_share, config.contacts_sentences)
    elif path in BUILTIN:
        yield from ((name, text) for name, text, _ in builtin_documents(path.removeprefix("builtin:")))
    else:
        yield from _files(config, problems)


def _named_files(path: str) -> list[tuple[str, Path]]:
    files = find_files(path, PLAIN + RECORDS)
    base = user_path(path)
    return [(f.relative_to(base).as_posix() if base.is_dir() else f.name, f) for f in files]


def _files(config: ScoreConfig, problems: Problems) -> Iterator[Document]:
    for name, file in _named_files(config.path):
        if file.suffix.lower() in PLAIN:
            text = _read(file, problems)
            if text is not None:
                yield name, text
        else:
            for line, record in read_fields(file, [config.field], problems):
                yield f"{name}:{line}", record[config.field]


def _read(file: Path, problems: Problems) -> str | None:
    """Return a file's text with its own line ends and without a byte order mark."""
    text: str | None = None
    try:
        text = file.read_bytes().removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as error:
        problems.add(file, file.read_bytes()[: error.start].count(b"\n") + 1, "not UTF-8")
    # An empty file holds nothing to score and is no mistake.
    fault = None if text is None or not text.strip() else text_fault(text)
    if fault:
        problems.add(file, 1, fault)
    problems.file_ended()
    return None if fault or not text or not text.strip() else text


def fingerprint(config: ScoreConfig) -> str:
    """Return a hash of the content and of what shapes the documents."""
    digest = hashlib.blake2b(f"{config.field} {config.max_documents} {config.malformed}\n".encode(), digest_size=16)
    if config.path.startswith("builtin:"):
        _check_builtin(config.path)
        # What the text is made of: making it takes seconds, which what is scored already need not cost.
        digest.update(f"{config.path} {config.contacts_share} {config.contacts_sentences}\n".encode() + library_digest())
        return digest.hexdigest()
    for name, file in _named_files(config.path):
        digest.update(f"{name} {file.stat().st_size}\n".encode())
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=16)).digest())
    return digest.hexdigest()


def checked(found: Iterator[Document], path: str, problems: Problems) -> Iterator[Document]:
    """Pass documents on.

    Raises DataError at the end when there was none.
    """
    empty = True
    for document in found:
        empty = False
        yield document
    if empty:
        reason = problems.summary() if problems.counts else "its files are empty"
        raise DataError(f"{path}: no document could be read: {reason}")
