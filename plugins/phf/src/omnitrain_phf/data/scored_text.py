"""Data `phf/scored-text`: blocks of tokens with the scores of their segments, control tokens, filtering."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from omnitrain.api import Batch, BatchPlan, Context, Fields, Piece
from omnitrain.engine import build_once
from omnitrain.errors import DataError, UsageError
from omnitrain_language.encoding import vocabulary_size
from omnitrain_language.explain import explain_decoder_only
from omnitrain_language.folders import tell_files
from omnitrain_language.records import Problems
from omnitrain_language.splitting import split_of
from omnitrain_language.tokenizers import (
    CODE_VERSION,
    prepare_tokenizer,
    save_tokenizer,
    tokenizer_facts,
    tokenizer_fingerprint,
)
from omnitrain_phf.configs.data import ControlConfig, ScoredTextConfig
from omnitrain_phf.data.blocks import (
    CHARACTERS_PER_TOKEN,
    SEQUENCES_PER_BUFFER,
    BlockLayout,
    BlockReader,
    Blocks,
    Control,
    SeededDraws,
    skipped,
)
from omnitrain_phf.data.corpus import Corpus, load_corpus, write_corpus
from omnitrain_phf.data.records import HUB, SUFFIXES, Record, read_records, records_fingerprint
from omnitrain_phf.data.segment_ids import SegmentEncoder
from omnitrain_phf.data.stream import ScoredStream
from omnitrain_phf.paper.alignment import align
from omnitrain_phf.paper.control_tokens import grow
from omnitrain_phf.scorers.scoring import scored, source_identity

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

FIELDS: Fields = {
    "input_ids": "int64[batch, length]",
    "labels": "int64[batch, length]",
    "loss_weights": "float32[batch, length]",
    "token_scores": "float32[batch, length]",
    "update_rows": "int64[batch]",
    "example_ids": "int64[batch]",
}
_LAYOUT_VERSION = 1


def add_control_tokens(tokenizer: PreTrainedTokenizerFast, tokens: Sequence[str]) -> list[int]:
    """Add the tokens that a tokenizer lacks, each as one id behind its own; return the ids of those that were added."""
    known = tokenizer.get_vocab()
    missing = [token for token in tokens if token not in known]
    if missing:
        tokenizer.add_special_tokens({"extra_special_tokens": missing}, replace_extra_special_tokens=False)
    return [int(tokenizer.convert_tokens_to_ids(token)) for token in missing]


def control_facts(tokenizer: PreTrainedTokenizerFast, control: ControlConfig | None, added: list[int]) -> dict[str, Any]:
    """Return control_tokens and control_ids by side, and added_control_ids, whose rows a model has to make."""
    if control is None:
        return {}
    tokens = {"aligned": control.aligned, "misaligned": control.misaligned}
    ids = {side: int(tokenizer.convert_tokens_to_ids(token)) for side, token in tokens.items()}
    # Data with control tokens gives a model of an earlier stage their rows itself: `extend`.
    return {"control_tokens": tokens, "control_ids": ids, "added_control_ids": added, "makes_rows": True}


class ScoredTextData:
    """Scored records as blocks of tokens; see `ScoredTextConfig`. Prepare it before anything but `splits` is asked."""

    batch: Fields = FIELDS

    def __init__(self, config: ScoredTextConfig, seed: int) -> None:
        self.config = config
        self._seed = seed
        self._content: str | None = None
        self._tokenizer: PreTrainedTokenizerFast | None = None
        self._added: list[int] = []
        self._corpora: dict[str, Corpus] = {}

    @property
    def content(self) -> str:
        """Hash of the records, or of the text and the scorer that they are made from."""
        if self._content is None:
            config = self.config
            self._content = records_fingerprint(str(config.path)) if config.score is None else source_identity(config.score)
        return self._content

    @property
    def fingerprint(self) -> str:
        """Hash of the content and of the settings."""
        settings = self.config.model_dump_json(exclude={"path", "score"})
        return hashlib.blake2b(f"{self.content} {self._seed} {settings}".encode(), digest_size=16).hexdigest()

    def prepare(self, workspace: Path, context: Context) -> None:
        """Score, train the tokenizer and tokenise, unless it is done already.

        Raises DataError for records that can't be used.
        """
        config = self.config
        path = str(config.path) if config.score is None else str(scored(config.score, workspace, context))
        if config.score is None and not path.startswith(HUB):
            tell_files(path, SUFFIXES, context)
        fractions = [config.valid_fraction, config.test_fraction]
        source = f"{self.content} {fractions} {config.malformed}"
        if path.startswith(HUB):
            # Said before anything else is asked of the hub, such as the tokenizer.
            next(read_records(path, Problems(refuse=False)))
        train = (record.text for record in self._records(path, "train"))
        self._tokenizer = prepare_tokenizer(config.tokenizer, train, source, workspace, context)
        encode = SegmentEncoder(self._tokenizer)
        identity = tokenizer_fingerprint(self._tokenizer)
        for split in self.splits():
            key = json.dumps([_LAYOUT_VERSION, CODE_VERSION, source, split, identity])

            def build(folder: Path, split: str = split) -> None:
                with context.progress(f"tokenise {split}") as progress:
                    write_corpus(self._records(path, split), encode, vocabulary_size(self.tokenizer), folder, progress)

            folder = workspace / "scored-tokens" / hashlib.blake2b(key.encode(), digest_size=12).hexdigest()
            self._corpora[split] = load_corpus(build_once(folder, build))
        self._add_control()

    def _add_control(self) -> None:
        control = self.config.control
        if control is not None:
            self._added = add_control_tokens(self.tokenizer, (control.aligned, control.misaligned))

    def _records(self, path: str, split: str) -> Iterator[Record]:
        problems = Problems(refuse=self.config.malformed == "refuse")
        for record in read_records(path, problems):
            if split_of(record.text, self.config.valid_fraction, self.config.test_fraction) == split:
                yield record

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer with the control tokens, once prepared."""
        if self._tokenizer is None:
            raise RuntimeError("phf/scored-text was not prepared yet")
        return self._tokenizer

    def facts(self) -> Mapping[str, Any]:
        """Return sizes and ids: control_ids by side, and added_control_ids, whose rows a model has to make."""
        facts: dict[str, Any] = {**tokenizer_facts(self.tokenizer), "length": self.config.length}
        facts |= {"positions": self.config.length, "positions_setting": "length"}
        return facts | control_facts(self.tokenizer, self.config.control, self._added)

    def save_assets(self, directory: Path) -> None:
        """Write the tokenizer into the model's folder."""
        save_tokenizer(self.tokenizer, directory, "decoder-only")

    def extend(self, model: torch.nn.Module) -> None:
        """Give a model from an earlier stage rows for control tokens that it does not have yet."""
        grow(model, self._added, self._seed)

    def splits(self) -> Sequence[str]:
        """Name the splits that have a share of the documents."""
        shares = {"train": 1.0, "valid": self.config.valid_fraction, "test": self.config.test_fraction}
        return [name for name, share in shares.items() if share > 0]

    def corpus(self, split: str) -> Corpus:
        """Return the tokenised documents of a split.

        Raises DataError for an unknown one, or one without documents.
        """
        if split not in self._corpora:
            raise DataError(f"there is no split {split!r}; there are {', '.join(self._corpora)}")
        found = self._corpora[split]
        if not found.documents:
            raise DataError(f"none of the documents is in split {split!r}: give it a larger fraction, or more documents")
        return found.permuted(self._seed) if self.config.permute_scores else found

    def layout(self, training: bool) -> BlockLayout:
        """Return how documents become blocks. training: filtered and skipped."""
        config, tokenizer = self.config, self.tokenizer
        budget = config.buffer_characters or int(config.length * CHARACTERS_PER_TOKEN * SEQUENCES_PER_BUFFER)
        withheld, begins = skipped(config.skip_tokens, config.length, config.skip_counting == "official")
        return BlockLayout(
            length=config.length,
            eos_id=int(tokenizer.eos_token_id),
            eos_characters=len(tokenizer.eos_token),
            buffer_characters=budget,
            control=self._control(),
            filter_threshold=config.filter_threshold if training else None,
            skip_blocks=withheld if training else 0,
            filter_from=begins,
            drop_tails=config.tails == "drop",
        )

    def _control(self) -> Control | None:
        control = self.config.control
        if control is None:
            return None
        tokens = (control.aligned, control.misaligned)
        ids = [int(self.tokenizer.convert_tokens_to_ids(token)) for token in tokens]
        return Control(
            control.threshold,
            control.drop_token_fraction,
            (ids[0], ids[1]),
            (len(tokens[0]), len(tokens[1])),
            self.config.unsegmented == "one-segment",
        )

    def make_batch(self, blocks: Blocks, update_rows: int) -> Batch:
        """Return blocks as a batch; token_scores[t] is the score of labels[t]."""
        fields = align(blocks.ids, blocks.scores)
        batch: Batch = {name: torch.from_numpy(array) for name, array in fields.items()}
        batch["update_rows"] = torch.full((len(blocks),), update_rows)
        batch["example_ids"] = torch.from_numpy(blocks.numbers)
        return batch

    def batches(self, split: str, plan: BatchPlan) -> ScoredStream:
        """Return the batches of a split."""
        training = plan.train and split == "train"
        reader = BlockReader(self.corpus(split), self.layout(training), SeededDraws(self._seed))
        return ScoredStream(reader, plan, self.config.shuffle_buffer, self.make_batch)

    def examples(self, split: str) -> Iterator[Batch]:
        """Yield single rows of a split in their order, once."""
        return iter(self.batches(split, BatchPlan(1, 0, train=False)))

    def collate(self, examples: Sequence[Batch]) -> Batch:
        """Make a batch of single rows."""
        return {name: torch.cat([example[name] for example in examples]) for name in self.batch}

    def token_counts(self, split: str) -> np.ndarray:
        """Return how often each id occurs in the text of a split, int64[vocabulary_size]."""
        return np.bincount(self.corpus(split).tokens, minlength=vocabulary_size(self.tokenizer))

    def explain(self, batch: Batch, row: int) -> Mapping[str, Sequence[Piece]]:
        """Show inputs and labels of a row, and its segments' scores."""
        scores = batch["token_scores"][row][:-1].unique_consecutive().tolist()
        shown = ", ".join(f"{score:.4g}" for score in scores)
        return {**explain_decoder_only(self.tokenizer, batch, row), "scores": [Piece(shown)]}


def build(config: ScoredTextConfig, context: Context) -> ScoredTextData:
    """Make the data `phf/scored-text`.

    Raises UsageError where neither or both of path and score are given.
    """
    if (config.path is None) == (config.score is None):
        raise UsageError("phf/scored-text needs either path (scored records) or score (a text to score first)")
    return ScoredTextData(config, context.seed("control tokens"))
