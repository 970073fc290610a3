"""Data `language/text`: a stream of documents that is read again for every pass and never held in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnitrain.api import Batch, Context, Fields, user_path
from omnitrain.errors import DataError, EnvironmentFault, Unreachable
from omnitrain_language.configs.data import TextConfig
from omnitrain_language.data.builtin.prose import builtin_documents, library_digest
from omnitrain_language.folders import find_files, tell_files
from omnitrain_language.records import PLAIN, RECORDS, Problems, lines_of, read_fields, text_fault
from omnitrain_language.splitting import split_of

Example = dict[str, str]


@dataclass(frozen=True, slots=True)
class Document:
    """A text, its name, and the key by which its split is chosen."""

    id: str
    text: str
    key: str


def _units(path: Path, config: TextConfig, problems: Problems) -> Iterator[tuple[int, str]]:
    """Yield (first line, text) of the documents of a plain text file."""
    start, size = 1, 0
    parts: list[str] = []
    for number, line in lines_of(path, problems):
        separates = config.unit != "file" and not line.strip()
        if not separates:
            start = number if not parts else start
            parts.append(line)
            size += len(line)
        if parts and (separates or config.unit == "line" or size >= config.document_characters):
            yield start, "".join(parts)
            parts, size = [], 0
    if parts:
        yield start, "".join(parts)


def _plain_documents(path: Path, name: str, config: TextConfig, problems: Problems) -> Iterator[Document]:
    found = False
    for line, text in _units(path, config, problems):
        found = True
        text = text.strip("\r\n")
        fault = text_fault(text)
        if fault:
            problems.add(path, line, fault)
        else:
            yield Document(f"{name}:{line}", text, text)
    if not found and not problems.counts:
        problems.add(path, 1, "empty text")
    problems.file_ended()


class DocumentStream:
    """One split of a text, read from its source each time it is iterated."""

    def __init__(self, text: TextData, split: str) -> None:
        self._text, self._split = text, split

    def __iter__(self) -> Iterator[Example]:
        text = self._text
        empty = True
        for document in text.documents():
            if text.split_of(document) == self._split:
                empty = False
                yield {"text": document.text, "id": document.id}
        if empty:
            raise DataError(
                f"{text.config.path}: none of its documents is in split {self._split!r}; it needs more documents "
                f"(set unit to cut files into more), or other values of valid_fraction and test_fraction"
            )


class TextData:
    """Documents `{"text", "id"}` in splits cut by a stable hash; see `TextConfig`."""

    def __init__(self, config: TextConfig) -> None:
        self.batch: Fields = {"text": "object[batch]", "id": "object[batch]"}
        self.config = config
        self.problems = Problems(refuse=config.malformed == "refuse")
        self._fingerprint: str | None = None

    @property
    def fingerprint(self) -> str:
        """Hash of the content and of the settings that shape documents; reads every byte once."""
        if self._fingerprint is None:
            digest = hashlib.blake2b(self.config.model_dump_json(exclude={"path"}).encode(), digest_size=16)
            self._add_content(digest)
            self._fingerprint = digest.hexdigest()
        return self._fingerprint

    def _add_content(self, digest: Any) -> None:
        path = self.config.path
        if path == "builtin":
            digest.update(library_digest())
        elif path.startswith("hub:"):
            digest.update(path.encode())
        else:
            for name, file in self._files():
                digest.update(f"{name} {file.stat().st_size}\n".encode())
                with file.open("rb") as opened:
                    digest.update(hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=16)).digest())

    def _files(self) -> list[tuple[str, Path]]:
        files = find_files(self.config.path, PLAIN + RECORDS)
        base = user_path(self.config.path)
        return [(f.relative_to(base).as_posix() if base.is_dir() else f.name, f) for f in files]

    def prepare(self, workspace: Path, context: Context) -> None:
        """Tell which files of a folder are not read. Raises DataError where none is."""
        if self.config.path != "builtin" and not self.config.path.startswith("hub:"):
            tell_files(self.config.path, PLAIN + RECORDS, context)

    def splits(self) -> Sequence[str]:
        """Name the splits that have a share of the documents."""
        shares = {"train": 1.0, "valid": self.config.valid_fraction, "test": self.config.test_fraction}
        return [name for name, share in shares.items() if share > 0]

    def examples(self, split: str) -> DocumentStream:
        """Return the documents of a split.

        Raises DataError for an unknown split, and while iterating when it is empty or records are malformed.
        """
        if split not in self.splits():
            raise DataError(f"{self.config.path}: there is no split {split!r}; there are {', '.join(self.splits())}")
        return DocumentStream(self, split)

    def collate(self, examples: Sequence[Example]) -> Batch:
        """Return {"text": list of texts, "id": list of names}."""
        return {"text": [e["text"] for e in examples], "id": [e["id"] for e in examples]}

    def split_of(self, document: Document) -> str:
        """Return the name of the split that a document belongs to."""
        return split_of(document.key, self.config.valid_fraction, self.config.test_fraction)

    def documents(self) -> Iterator[Document]:
        """Yield the documents of all splits in their fixed order.

        Raises DataError when there is none, or for malformed records where they are refused.
        """
        self.problems = problems = Problems(refuse=self.config.malformed == "refuse")
        count = 0
        for document in self._source(problems):
            count += 1
            yield document
            if count == self.config.max_documents:
                break
        problems.pass_ended()
        if count == 0:
            raise DataError(f"{self.config.path}: no document could be read. {problems.summary()}")

    def _source(self, problems: Problems) -> Iterator[Document]:
        path, field = self.config.path, self.config.field
        if path == "builtin":
            yield from (Document(*entry) for entry in builtin_documents(self.config.content))
        elif path.startswith("hub:"):
            yield from self._hub(problems)
        else:
            for name, file in self._files():
                if file.suffix.lower() in PLAIN:
                    yield from _plain_documents(file, name, self.config, problems)
                else:
                    for line, record in read_fields(file, [field], problems):
                        yield Document(f"{name}:{line}", record[field], record[field])

    def _hub(self, problems: Problems) -> Iterator[Document]:
        try:
            import datasets
        except ImportError as error:
            raise EnvironmentFault(
                f"path {self.config.path!r} needs datasets: pip install 'omnitrain-language[hub]'"
            ) from error
        config, name = self.config, self.config.path.removeprefix("hub:")
        try:
            rows = datasets.load_dataset(
                name, config.hub_subset, split=config.hub_split, revision=config.hub_revision, streaming=True
            )
        except (OSError, ValueError) as error:
            raise Unreachable(f"{config.path}: can't be read from the hub ({str(error).splitlines()[0]})") from error
        for number, record in enumerate(rows, 1):
            fault = "no field " + repr(config.field) if config.field not in record else text_fault(record[config.field])
            if fault:
                problems.add(name, number, fault)
                problems.file_ended()
            else:
                yield Document(f"{name}:{number}", record[config.field], record[config.field])


def build(config: TextConfig, context: Context) -> TextData:
    """Make the data `language/text`."""
    return TextData(config)
