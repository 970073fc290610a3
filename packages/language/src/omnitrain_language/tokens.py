"""Texts tokenised once into flat memory-mapped arrays.

Layout of `tokens.bin`: eos, document 0, eos, document 1, eos, ... So each document has an end of sequence before it, as
the context of its first token, and one behind it. `offsets.bin` holds the starts of the documents and, last, the length
of the whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from omnitrain.api import Context, Data, Progress
from omnitrain.engine import build_once
from omnitrain.errors import DataError
from omnitrain_language.background import Work
from omnitrain_language.encoding import Encoder, vocabulary_size
from omnitrain_language.tokenizers import CODE_VERSION, tokenizer_fingerprint

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_BATCH_CHARACTERS = 2_000_000
_BATCH_DOCUMENTS = 2048
_LAYOUT_VERSION = 2
# Shares of a text's tokens that are unknown to its tokenizer: above the first it is told, above the second refused.
_SAID_UNKNOWN, _MOST_UNKNOWN = 0.01, 0.5


@dataclass(frozen=True)
class TokenFile:
    """The tokens of one split, mapped from a folder that `write_tokens` made."""

    folder: Path

    @cached_property
    def details(self) -> Mapping[str, Any]:
        """What stands in details.json: dtype, vocabulary_size, eos_id."""
        found: Mapping[str, Any] = json.loads((self.folder / "details.json").read_text("utf-8"))
        return found

    @cached_property
    def tokens(self) -> NDArray[Any]:
        """All ids, uint16 or uint32[total]."""
        return np.memmap(self.folder / "tokens.bin", dtype=self.details["dtype"], mode="r")

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """Starts of the documents, int64[documents + 1]; the last entry is the total."""
        return np.memmap(self.folder / "offsets.bin", dtype="<i8", mode="r")

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """How often each id occurs, int64[vocabulary_size]."""
        return np.fromfile(self.folder / "counts.bin", dtype="<i8")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each document, its eos not counted, int64[documents]."""
        return np.diff(self.offsets) - 1

    def document(self, index: int, eos: bool = False) -> NDArray[Any]:
        """Return the ids of a document, with or without the eos behind it."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.tokens[self.offsets[index] : self.offsets[index + 1] - (0 if eos else 1)]


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    characters = 0
    for text in texts:
        batch.append(text)
        characters += len(text)
        if characters >= _BATCH_CHARACTERS or len(batch) >= _BATCH_DOCUMENTS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def write_tokens(texts: Iterable[str], tokenizer: PreTrainedTokenizerFast, folder: Path, progress: Progress) -> None:
    """Tokenise texts in large batches into `folder`; memory does not grow with the number of texts."""
    encode = Encoder(tokenizer)
    eos = int(tokenizer.eos_token_id)
    vocabulary = vocabulary_size(tokenizer)
    dtype = "<u2" if vocabulary <= 2**16 else "<u4"
    counts = np.zeros(vocabulary, np.int64)
    total, empty = 1, 0
    with (folder / "tokens.bin").open("wb") as tokens, (folder / "offsets.bin").open("wb") as offsets:
        tokens.write(np.asarray([eos], dtype).tobytes())
        offsets.write(np.asarray([total], "<i8").tobytes())
        for batch in _batches(texts):
            rows = Work(partial(encode, batch)).result(lambda: progress.advance(0))
            flat = np.concatenate([np.asarray([*row, eos], dtype) for row in rows])
            ends = total + np.cumsum([len(row) + 1 for row in rows])
            tokens.write(flat.tobytes())
            offsets.write(ends.astype("<i8").tobytes())
            counts += np.bincount(flat, minlength=vocabulary)
            empty += sum(not row for row in rows)
            total = int(ends[-1])
            progress.advance(len(batch), tokens=total)
    counts.astype("<i8").tofile(folder / "counts.bin")
    details = {"dtype": dtype, "vocabulary_size": vocabulary, "eos_id": eos, "empty": empty}
    (folder / "details.json").write_text(json.dumps(details), "utf-8")


def token_file(
    texts: Iterable[str],
    fingerprint: str,
    tokenizer: PreTrainedTokenizerFast,
    workspace: Path,
    context: Context,
    label: str,
) -> TokenFile:
    """Tokenise texts at most once per workspace. fingerprint: of the texts, in this order."""
    settings = [_LAYOUT_VERSION, CODE_VERSION, fingerprint, tokenizer_fingerprint(tokenizer)]
    key = hashlib.blake2b(json.dumps(settings).encode(), digest_size=12).hexdigest()

    def build(folder: Path) -> None:
        with context.progress(f"tokenise {label}") as progress:
            write_tokens(texts, tokenizer, folder, progress)

    file = TokenFile(build_once(workspace / "tokens" / key, build))
    _tell_coverage(file, tokenizer, context, label)
    return file


def _tell_coverage(file: TokenFile, tokenizer: PreTrainedTokenizerFast, context: Context, label: str) -> None:
    """Tell how much of a text a tokenizer does not know. Raises DataError where that is most of it."""
    documents, empty, text = len(file), int(file.details["empty"]), int(file.lengths().sum())
    unknown = tokenizer.unk_token_id
    marked = unknown is not None and unknown not in (tokenizer.eos_token_id, tokenizer.bos_token_id)
    share = int(file.counts[int(unknown)]) / text if marked and text else 0.0
    if documents and (empty == documents or share > _MOST_UNKNOWN):
        what = (
            f"gives no token for any of {documents} documents"
            if empty == documents
            else f"does not know {share:.0%} of its tokens"
        )
        raise DataError(f"{label}: the tokenizer {what}; it belongs to other text, or to another model: set tokenizer.path")
    if empty:
        context.event("documents without tokens", split=label, documents=empty, of=documents)
    if share > _SAID_UNKNOWN:
        context.event("unknown tokens", split=label, share=round(share, 4))


def texts_of(data: Data, split: str) -> Iterator[str]:
    """Yield the field "text" of the examples of a split."""
    for example in data.examples(split):
        yield example["text"]


def prepare_tokens(
    text_data: Data, tokenizer: PreTrainedTokenizerFast, workspace: Path, context: Context
) -> dict[str, TokenFile]:
    """Tokenise all splits of a data whose examples have a field "text"."""
    return {
        split: token_file(texts_of(text_data, split), f"{text_data.fingerprint}/{split}", tokenizer, workspace, context, split)
        for split in text_data.splits()
    }
