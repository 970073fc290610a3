"""Data `language/pairs`: inputs and targets for fine-tuning, for encoder-decoders and for prefix language models."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from omnitrain.api import Batch, BatchPlan, Context, Data, Fields, Piece, Prepares
from omnitrain.errors import DataError
from omnitrain_language.configs.data import PairsConfig
from omnitrain_language.data.blocks import RowExamples
from omnitrain_language.data.builtin.pairs import BUILTIN, library_pairs
from omnitrain_language.decoder_start import decoder_start, start_facts
from omnitrain_language.dialogues.records import Columns, read_dialogues
from omnitrain_language.dialogues.templates import prompt_text
from omnitrain_language.encoding import start_ids
from omnitrain_language.explain import explain_decoder_only, explain_encoder_decoder
from omnitrain_language.folders import content_of, tell_files
from omnitrain_language.order import Ints, RowStream
from omnitrain_language.records import RECORDS
from omnitrain_language.splitting import split_of
from omnitrain_language.tokenizers import pad_id, prepare_tokenizer, save_tokenizer, tokenizer_facts
from omnitrain_language.tokens import TokenFile, texts_of, token_file

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPLITS = ("train", "valid", "test")
ROUNDED = 8  # widths of rows are multiples of this
ENCODER_DECODER: Fields = {
    "input_ids": "int64[batch, input_length]",
    "attention_mask": "bool[batch, input_length]",
    "decoder_input_ids": "int64[batch, target_length]",
    "labels": "int64[batch, target_length]",
    "loss_weights": "float32[batch, target_length]",
    "example_ids": "int64[batch]",
}
DECODER_ONLY: Fields = {
    "input_ids": "int64[batch, length]",
    "attention_mask": "bool[batch, length]",
    "prefix_mask": "bool[batch, length]",
    "labels": "int64[batch, length]",
    "loss_weights": "float32[batch, length]",
    "example_ids": "int64[batch]",
}


def _padded(rows: Sequence[NDArray[Any]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (ids int64[batch, longest rounded up to ROUNDED], mask bool) of rows padded at their end."""
    width = max(1, *(len(row) for row in rows))
    width += -width % ROUNDED
    lengths = np.asarray([len(row) for row in rows])
    mask = np.arange(width) < lengths[:, None]
    ids = np.full((len(rows), width), pad, np.int64)
    ids[mask] = np.concatenate(rows)
    return torch.from_numpy(ids), torch.from_numpy(mask)


def collate_encoder_decoder(
    inputs: Sequence[NDArray[Any]], targets: Sequence[NDArray[Any]], pad: int, start: int | None = None
) -> Batch:
    """Make a batch of inputs and targets that both end with eos. start: what the decoder starts from, else pad as in T5."""
    input_ids, attention_mask = _padded(inputs, pad)
    labels, weights = _padded(targets, pad)
    decoder_input_ids = torch.cat([torch.full_like(labels[:, :1], pad if start is None else start), labels[:, :-1]], dim=1)
    return {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "decoder_input_ids": decoder_input_ids,
        "labels": labels,
        "loss_weights": weights.float(),
    }


def collate_decoder_only(inputs: Sequence[NDArray[Any]], targets: Sequence[NDArray[Any]], eos: int, pad: int) -> Batch:
    """Make rows [eos, inputs, targets]; targets end with eos, inputs don't.

    The prefix covers eos and all inputs: position 0..split of the shifted row. The loss is on the targets.
    """
    rows = [np.concatenate([[eos], i, t]) for i, t in zip(inputs, targets, strict=True)]
    input_ids, mask = _padded([row[:-1] for row in rows], pad)
    labels, _ = _padded([row[1:] for row in rows], pad)
    split = torch.tensor([len(i) for i in inputs])[:, None]
    position = torch.arange(input_ids.shape[1])
    return {
        "input_ids": input_ids,
        "attention_mask": mask,
        "prefix_mask": (position <= split) & mask,
        "labels": labels,
        "loss_weights": ((position >= split) & mask).float(),
    }


def input_ids(text: NDArray[Any], prefix: NDArray[Any], length: int, layout: str, eos: int) -> NDArray[np.int64]:
    """Return the inputs as a model reads them: prefix and text cut at their end to length - 1; an encoder's get eos."""
    kept = np.concatenate([prefix, text])[: length - 1].astype(np.int64)
    return np.append(kept, eos) if layout == "encoder-decoder" else kept


def target_ids(text: NDArray[Any], front: Sequence[int], length: int, eos: int) -> NDArray[np.int64]:
    """Return targets as a model writes them: front and text cut at their end to length - 1, and eos. front: of a tokenizer."""
    kept = np.concatenate([np.asarray(front, np.int64), text])[: length - 1].astype(np.int64)
    return np.append(kept, eos)


class PairsData:
    """Pairs of texts; see `PairsConfig`. Prepare it before anything but `splits` is asked."""

    def __init__(self, config: PairsConfig, text: Data | None) -> None:
        self.config = config
        self.text = text
        self.batch: Fields = ENCODER_DECODER if config.layout == "encoder-decoder" else DECODER_ONLY
        self._tokenizer: PreTrainedTokenizerFast | None = None
        self._files: dict[str, tuple[TokenFile, TokenFile]] = {}
        self._prefix: NDArray[Any] = np.zeros(0, np.int64)
        self._front: list[int] = []
        self._start: int | None = None
        self._fingerprint: str | None = None

    def _paths(self) -> dict[str, str]:
        own = {"train": self.config.path, "valid": self.config.valid_path, "test": self.config.test_path}
        return {split: path for split, path in own.items() if path is not None}

    @property
    def fingerprint(self) -> str:
        """Hash of all files and of the settings."""
        if self._fingerprint is None:
            exclude = {"path", "valid_path", "test_path", "tokenizer_text"}
            digest = hashlib.blake2b(self.config.model_dump_json(exclude=exclude).encode(), digest_size=16)
            for split, path in self._paths().items():
                self._add_content(digest, split, path)
            if self.text is not None:
                digest.update(self.text.fingerprint.encode())
            self._fingerprint = digest.hexdigest()
        return self._fingerprint

    def _add_content(self, digest: Any, split: str, path: str) -> None:
        if path.startswith(BUILTIN):
            digest.update(f"{path}\n".encode())
            for pair in library_pairs(path.removeprefix(BUILTIN)):
                digest.update(("\t".join(pair) + "\n").encode("utf-8", "surrogatepass"))
            return
        for part in content_of(path, RECORDS):
            digest.update(f"{split} ".encode() + part)

    def splits(self) -> Sequence[str]:
        """Name the splits; with `split_field` those that occur in it."""
        named = self._paths()
        if self.config.split_field is not None:
            return self._named_splits
        cut = self.config.valid_path is None and self.config.valid_fraction > 0
        return [split for split in SPLITS if split in named or (split == "valid" and cut)]

    @cached_property
    def _named_splits(self) -> list[str]:
        """The splits that occur in the field `split_field`."""
        found = {split for _, _, split in self._pairs(self.config.path)}
        unknown = sorted(found - set(SPLITS))
        if unknown:
            raise DataError(
                f"{self.config.path}: {self.config.split_field} {unknown[0]!r} is no split; expected {', '.join(SPLITS)}"
            )
        return [split for split in SPLITS if split in found]

    def _pairs(self, path: str) -> Iterator[tuple[str, str, str]]:
        """Yield (inputs, targets, what decides about the split) of all records of a path."""
        config = self.config
        if path.startswith(BUILTIN):
            yield from library_pairs(path.removeprefix(BUILTIN))
            return
        columns = Columns(config.inputs_field, config.targets_field, split=config.split_field)
        for record in read_dialogues(path, config.malformed == "refuse", columns=columns):
            inputs = record.prompt if isinstance(record.prompt, str) else prompt_text(record.prompt, "plain")
            yield inputs, record.reply, record.split if config.split_field is not None else record.key

    def records(self, split: str) -> Iterator[dict[str, str]]:
        """Yield {"inputs", "targets"} of a split; a validation split without a file is cut out by a stable hash.

        Raises DataError for an unknown split, for malformed records where they are refused, and when there is none.
        """
        config, splits = self.config, self.splits()
        if split not in splits:
            raise DataError(f"{config.path}: there is no split {split!r}; there are {', '.join(splits)}")
        named = config.split_field is not None
        cut = not named and split != "test" and config.valid_path is None and config.valid_fraction > 0
        path = config.path if cut or named else self._paths()[split]
        empty = True
        for inputs, targets, key in self._pairs(path):
            if (not cut and not named) or (key if named else split_of(key, config.valid_fraction, 0)) == split:
                empty = False
                yield {"inputs": inputs, "targets": targets}
        if empty:
            raise DataError(f"{path}: split {split!r} got no pair; it needs more records or another valid_fraction")

    def _column(self, split: str, name: str) -> Iterator[str]:
        return (record[name] for record in self.records(split))

    def _tokenizer_texts(self) -> Iterator[str]:
        if self.text is not None:
            return texts_of(self.text, self.text.splits()[0])
        return (text for record in self.records("train") for text in (record["inputs"], record["targets"]))

    def prepare(self, workspace: Path, context: Context) -> None:
        """Train the tokenizer and tokenise the pairs, unless it is done already."""
        if isinstance(self.text, Prepares):
            self.text.prepare(workspace, context)
        for path in self._paths().values():
            if not path.startswith(BUILTIN):
                tell_files(path, RECORDS, context)
        source = self.fingerprint if self.text is None else self.text.fingerprint
        self._tokenizer = prepare_tokenizer(self.config.tokenizer, self._tokenizer_texts(), source, workspace, context)
        for split in self.splits():
            inputs, targets = (
                token_file(
                    self._column(split, name),
                    f"{self.fingerprint}/{split}/{name}",
                    self._tokenizer,
                    workspace,
                    context,
                    f"{split} {name}",
                )
                for name in ("inputs", "targets")
            )
            self._files[split] = inputs, targets
        prefix = self._tokenizer(self.config.prefix, add_special_tokens=False).input_ids if self.config.prefix else []
        if self.config.layout == "encoder-decoder":
            self._front, self._start = start_ids(self._tokenizer), decoder_start(self._tokenizer, context)
        self._prefix = np.asarray([*self._front, *prefix], np.int64)
        if len(self._prefix) + 2 > self.config.inputs_length:
            raise DataError(f"prefix {self.config.prefix!r} fills inputs_length {self.config.inputs_length}: enlarge it")

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer, once prepared."""
        if self._tokenizer is None:
            raise RuntimeError("language/pairs was not prepared yet")
        return self._tokenizer

    def facts(self) -> Mapping[str, Any]:
        """Return vocabulary_size, pad_id, eos_id, and the positions that a model needs for the longest row."""
        positions = max((self._longest(*files) for files in self._files.values()), default=0)
        settings = {"positions": positions, "positions_setting": "inputs_length or targets_length"}
        start = {} if self._start is None else start_facts(self.tokenizer, self._start)
        return {**tokenizer_facts(self.tokenizer), **start, **settings}

    def _longest(self, inputs: TokenFile, targets: TokenFile) -> int:
        """Return the width of a split's widest row, padding included."""
        config = self.config
        kept = np.minimum(inputs.lengths() + len(self._prefix), config.inputs_length - 1)
        written = np.minimum(len(self._front) + targets.lengths(), config.targets_length - 1) + 1
        widths = np.maximum(kept + 1, written) if config.layout == "encoder-decoder" else kept + written
        longest = int(widths.max(initial=1))
        return longest + -longest % ROUNDED

    def save_assets(self, directory: Path) -> None:
        """Write the tokenizer into the model's folder."""
        save_tokenizer(self.tokenizer, directory, self.config.layout)

    def _sequences(self, split: str, row: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return (inputs with prefix, targets with eos), cut at their ends; inputs of an encoder get eos."""
        config, eos = self.config, int(self.tokenizer.eos_token_id)
        inputs, targets = (np.asarray(file.document(row), np.int64) for file in self._files[split])
        kept = input_ids(inputs, self._prefix, config.inputs_length, config.layout, eos)
        return kept, target_ids(targets, self._front, config.targets_length, eos)

    def gather(self, split: str, rows: Ints) -> Batch:
        """Make the batch of some rows; -1 stands for a row without loss."""
        pairs = [self._sequences(split, int(row)) for row in np.maximum(rows, 0)]
        inputs, targets = [p[0] for p in pairs], [p[1] for p in pairs]
        eos, pad = int(self.tokenizer.eos_token_id), pad_id(self.tokenizer)
        if self.config.layout == "encoder-decoder":
            batch = collate_encoder_decoder(inputs, targets, pad, self._start)
        else:
            batch = collate_decoder_only(inputs, targets, eos, pad)
        batch["loss_weights"] *= torch.from_numpy(rows >= 0)[:, None]
        batch["example_ids"] = torch.from_numpy(rows.copy())
        return batch

    def _size(self, split: str) -> int:
        if split not in self._files:
            raise DataError(f"there is no split {split!r}; there are {', '.join(self._files)}")
        return len(self._files[split][0])

    def examples(self, split: str) -> RowExamples:
        """Return the rows of a split."""
        return RowExamples(split, self._size(split))

    def collate(self, examples: Sequence[Mapping[str, Any]]) -> Batch:
        """Make a batch of rows of one split."""
        return self.gather(examples[0]["split"], np.asarray([e["row"] for e in examples], np.int64))

    def batches(self, split: str, plan: BatchPlan) -> RowStream:
        """Return the batches of a split."""
        return RowStream(self._size(split), plan, lambda rows: self.gather(split, rows))

    def explain(self, batch: Batch, row: int) -> Mapping[str, Sequence[Piece]]:
        """Show inputs and targets of a row."""
        explain = explain_encoder_decoder if self.config.layout == "encoder-decoder" else explain_decoder_only
        return explain(self.tokenizer, batch, row)


def build(config: PairsConfig, context: Context) -> PairsData:
    """Make the data `language/pairs`."""
    text = None if config.tokenizer_text is None else context.build(config.tokenizer_text)
    return PairsData(config, text)
