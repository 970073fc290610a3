"""Data `ul2/denoising`: any text under a mixture of denoisers, one drawn per example."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from omnitrain.api import Batch, BatchPlan, Context, Data, Fields, Piece, Prepares
from omnitrain.errors import DataError, UsageError
from omnitrain_language.explain import explain_decoder_only, explain_encoder_decoder
from omnitrain_language.tokenizers import prepare_tokenizer, save_tokenizer, tokenizer_facts
from omnitrain_language.tokens import TokenFile, prepare_tokens, texts_of
from omnitrain_ul2.configs.data import DenoiserConfig, DenoisingConfig
from omnitrain_ul2.data import layouts
from omnitrain_ul2.data.modes import tokenizer_config, vocabulary_of
from omnitrain_ul2.data.segments import Documents, SegmentTable
from omnitrain_ul2.data.stream import DenoisingStream, Examples, PackedStream
from omnitrain_ul2.paper.corruption import BatchPlan as DenoisingPlan
from omnitrain_ul2.paper.corruption import denoise_batch, plan_batches
from omnitrain_ul2.paper.denoisers import Denoiser, Mixture, mixture
from omnitrain_ul2.paper.lengths import plan_segments, sentinels_needed
from omnitrain_ul2.paper.sentinels import Corrupted
from omnitrain_ul2.paper.vocabulary import Vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Ints = npt.NDArray[np.int64]
UNLIMITED = 1 << 30


def make_mixture(name: str, denoisers: Sequence[DenoiserConfig], rates: Sequence[float] | None = None) -> Mixture:
    """Return a named mixture or, for "custom", one of the given denoisers; equal rates unless told otherwise."""
    if name != "custom":
        return mixture(name, rates)
    made = tuple(Denoiser(d.kind, d.mean_span, d.rate, d.random_roll) for d in denoisers)
    return Mixture(made, tuple(rates) if rates is not None else (1 / len(made),) * len(made))


class DenoisingData:
    """Text as denoising examples; see `DenoisingConfig`. Prepare it before anything but `splits` is asked."""

    def __init__(self, config: DenoisingConfig, text: Data) -> None:
        self.config, self.text = config, text
        self.mixture = make_mixture(config.mixture, config.denoisers, config.rates)
        self.batch: Fields = layouts.fields_of(config.layout, config.pack)
        self.training: DenoisingStream | None = None
        # Checked here, before any text is read: lengths that do not fit and mixtures that can't be drawn.
        self._unmarked = plan_segments(self.mixture.denoisers, config.inputs_length, self._most_targets(self.mixture.denoisers))
        self._tokenizer: PreTrainedTokenizerFast | None = None
        self._vocabulary: Vocabulary | None = None
        self._documents: dict[str, Documents] = {}
        self._tables: dict[tuple[str, int, Denoiser, tuple[int, int]], SegmentTable] = {}
        self.files: dict[str, TokenFile] = {}

    @property
    def fingerprint(self) -> str:
        """Hash of the text and of the settings."""
        settings = self.config.model_dump_json(exclude={"text"})
        return hashlib.blake2b(f"{self.text.fingerprint} {settings}".encode(), digest_size=16).hexdigest()

    def prepare(self, workspace: Path, context: Context) -> None:
        """Train the tokenizer and tokenise the text, unless it is done already.

        Raises UsageError for too few sentinels and for modes that are not what the settings say.
        """
        if isinstance(self.text, Prepares):
            self.text.prepare(workspace, context)
        needed = sentinels_needed(self._unmarked)
        settings = tokenizer_config(self.config.tokenizer, self.config.modes, needed)
        train = self.text.splits()[0]
        self._tokenizer = prepare_tokenizer(settings, texts_of(self.text, train), self.text.fingerprint, workspace)
        vocabulary = vocabulary_of(self._tokenizer, self.config.modes, needed > 0)
        self._plan_all(vocabulary)
        self.files = prepare_tokens(self.text, self._tokenizer, workspace, context)
        self.use_documents(vocabulary, {split: Documents(file) for split, file in self.files.items()})

    def use_documents(self, vocabulary: Vocabulary, documents: Mapping[str, Documents]) -> None:
        """Take tokenised documents by split, as `prepare` does with those of the text.

        Raises UsageError where lengths or sentinels do not fit, DataError for too short a text.
        """
        plan = self._plan_all(vocabulary)
        self._documents = dict(documents)
        self.tables(next(iter(documents)), plan, training=True)

    def _plan_all(self, vocabulary: Vocabulary) -> DenoisingPlan:
        self._vocabulary = vocabulary
        plan = self.plan(self.mixture.denoisers)
        if self.config.pack and self.packed_lengths[1] < plan.targets_length:
            raise UsageError(
                f"packed_targets_length {self.packed_lengths[1]} is below the longest targets of {plan.targets_length} tokens; "
                f"set it to at least {plan.targets_length}."
            )
        return plan

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer, once prepared."""
        if self._tokenizer is None:
            raise RuntimeError("ul2/denoising was not prepared yet")
        return self._tokenizer

    @property
    def vocabulary(self) -> Vocabulary:
        """Sentinels, modes, pad and EOS, once prepared."""
        if self._vocabulary is None:
            raise RuntimeError("ul2/denoising was not prepared yet")
        return self._vocabulary

    def plan(self, denoisers: Sequence[Denoiser], mode: str = "matching") -> DenoisingPlan:
        """Plan any denoisers on this text. mode: "matching", "none", or the kind whose mode all of them get."""
        config, vocabulary = self.config, self.vocabulary
        if mode == "none":
            vocabulary = replace(vocabulary, mode_ids={})
        elif mode != "matching":
            ids = vocabulary.mode_ids
            vocabulary = replace(vocabulary, mode_ids=dict.fromkeys(ids, ids.get(mode, ())))
        planned = plan_batches(denoisers, vocabulary, config.inputs_length, self._most_targets(denoisers))
        if config.targets_length is not None:
            return planned
        # Masks round in float32, plans in float64: a target can be two tokens longer than planned.
        return replace(planned, targets_length=max(s.targets_length for s in planned.segments) + 2)

    def _most_targets(self, denoisers: Sequence[Denoiser]) -> int:
        """The longest targets allowed; a causal LM, which fills its targets, gets as many as there are inputs."""
        config = self.config
        if config.targets_length is not None:
            return config.targets_length
        return config.inputs_length if any(d.is_causal for d in denoisers) else UNLIMITED

    def facts(self) -> Mapping[str, Any]:
        """Return the tokenizer's sizes and ids, and the names of the denoisers."""
        names = [d.name for d in self.mixture.denoisers]
        return {**tokenizer_facts(self.tokenizer), "group_names": {"task_ids": names}}

    def save_assets(self, directory: Path) -> None:
        """Write the tokenizer into the model's folder."""
        save_tokenizer(self.tokenizer, directory, self.config.layout)

    def splits(self) -> Sequence[str]:
        """Name the splits of the text."""
        return self.text.splits()

    def table(self, split: str, plan: DenoisingPlan, number: int, shard: tuple[int, int] = (0, 1)) -> SegmentTable:
        """Return the segments of one denoiser of a plan.

        Raises DataError for an unknown split and for too short a text.
        """
        if split not in self._documents:
            raise DataError(f"There is no split {split!r}; there are {', '.join(self._documents)}.")
        segment = plan.segments[number]
        key = (split, segment.tokens_length, segment.denoiser, shard)
        if key not in self._tables:
            join, shortest = self.config.join_documents, self.config.shortest_segment
            self._tables[key] = SegmentTable(self._documents[split], segment, join, shortest, shard)
        return self._tables[key]

    def tables(self, split: str, plan: DenoisingPlan, training: bool) -> list[SegmentTable | None]:
        """Return the segments of each of the mixture's denoisers, None for those that are never drawn."""
        drawn = [i for i, rate in enumerate(self.mixture.rates) if rate]
        sharded = training and self.config.shard_documents
        shards = {n: (i, len(drawn)) if sharded else (0, 1) for i, n in enumerate(drawn)}
        return [self.table(split, plan, n, shards[n]) if n in shards else None for n in range(len(plan.segments))]

    def corrupt(
        self, split: str, places: tuple[Ints, Ints], tasks: Ints, plan: DenoisingPlan, generator: np.random.Generator
    ) -> Corrupted:
        """Denoise raw segments. places: (start, length) of each; tasks: denoiser of each in the plan, both int64[rows]."""
        if not len(tasks):
            none, empty = np.empty((0, 0), np.int32), np.empty(0, np.int64)
            return Corrupted(none, empty, none, empty)
        return denoise_batch(self._documents[split].gather(*places), tasks, plan, generator, places[1])

    def lay_out(self, examples: Examples) -> Batch:
        """Return examples as a batch of one example a row."""
        make = layouts.encoder_decoder if self.config.layout == "encoder-decoder" else layouts.decoder_only
        fields = {**make(examples.sides, self.vocabulary), "task_ids": examples.tasks}
        return {**layouts.to_tensors(fields), "example_ids": examples.starts}

    def denoise(
        self, split: str, places: tuple[Ints, Ints], tasks: Ints, plan: DenoisingPlan, generator: np.random.Generator
    ) -> Batch:
        """Make the batch of raw segments, one a row; see `corrupt`."""
        return self.lay_out(Examples(self.corrupt(split, places, tasks, plan, generator), tasks, places[0]))

    @cached_property
    def packed_lengths(self) -> tuple[int, int]:
        """Tokens of the inputs and of the targets of a packed row."""
        config = self.config
        targets = self.plan(self.mixture.denoisers).targets_length
        return config.packed_inputs_length or config.inputs_length, config.packed_targets_length or targets

    @property
    def capacity(self) -> tuple[int, ...]:
        """Tokens of a packed row: of inputs and targets, or of both together in a decoder-only row."""
        lengths = self.packed_lengths
        return lengths if self.config.layout == "encoder-decoder" else (sum(lengths),)

    def sizes(self, sides: Corrupted) -> Ints:
        """Tokens that examples take of a packed row's capacity, int64[examples, 1 or 2]."""
        if self.config.layout == "encoder-decoder":
            return np.stack([sides.input_lengths, sides.target_lengths], axis=1)
        return (sides.input_lengths - 1 + sides.target_lengths)[:, None]

    def lay_out_packed(self, examples: Examples, row: Ints, rows: int) -> Batch:
        """Return examples as a batch of packed rows. row: the row of each example, int64[examples]."""
        capacity, vocabulary = self.capacity, self.vocabulary
        if self.config.layout == "encoder-decoder":
            both = (capacity[0], capacity[1])
            fields = layouts.packed_encoder_decoder(examples.sides, examples.tasks, row, rows, both, vocabulary)
        else:
            fields = layouts.packed_decoder_only(examples.sides, examples.tasks, row, rows, capacity[0], vocabulary)
        first = np.searchsorted(np.sort(row), np.arange(rows))
        return {**layouts.to_tensors(fields), "example_ids": examples.starts[np.argsort(row, kind="stable")[first]]}

    def batches(self, split: str, plan: BatchPlan) -> DenoisingStream:
        """Return the batches of a split."""
        stream = (PackedStream if self.config.pack else DenoisingStream)(self, split, plan)
        if plan.train:
            self.training = stream
        return stream

    def examples(self, split: str) -> Iterator[Batch]:
        """Yield single rows of a split, in a fixed order, once."""
        return iter(self.batches(split, BatchPlan(1, 0, train=False)))

    def collate(self, examples: Sequence[Batch]) -> Batch:
        """Make a batch of single rows, padded to the longest."""
        fill = layouts.padding_of(self.vocabulary)
        return {name: _pad_rows([e[name][0] for e in examples], fill.get(name, 0)) for name in self.batch}

    def token_counts(self, split: str) -> Ints:
        """Return how often each id occurs in a split, int64[vocabulary_size]."""
        return self.files[split].counts

    def explain(self, batch: Batch, row: int) -> Mapping[str, Sequence[Piece]]:
        """Show the task, the inputs and the targets of a row."""
        explain = explain_encoder_decoder if self.config.layout == "encoder-decoder" else explain_decoder_only
        tasks = batch["task_ids"][row].flatten().unique_consecutive().tolist()
        names = ", ".join(self.mixture.denoisers[task].name for task in tasks if task >= 0)
        return {"denoiser": [Piece(names)], **explain(self.tokenizer, batch, row)}


def _pad_rows(rows: Sequence[torch.Tensor], value: int) -> torch.Tensor:
    if rows[0].ndim == 0:
        return torch.stack(list(rows))
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=value)


def build(config: DenoisingConfig, context: Context) -> DenoisingData:
    """Make the data `ul2/denoising`."""
    return DenoisingData(config, context.build(config.text))
