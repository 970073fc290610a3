"""Data `ul2/denoising`: any text under a mixture of denoisers, one drawn per example."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from omnitrain.api import Batch, BatchPlan, Context, Data, Fields, Piece, Prepares
from omnitrain.errors import DataError
from omnitrain_language.explain import explain_decoder_only, explain_encoder_decoder
from omnitrain_language.tokenizers import prepare_tokenizer, save_tokenizer, tokenizer_facts
from omnitrain_language.tokens import TokenFile, prepare_tokens, texts_of
from omnitrain_ul2 import layouts
from omnitrain_ul2.configs import DenoiserConfig, DenoisingConfig
from omnitrain_ul2.denoisers import Denoiser, Mixture, mixture
from omnitrain_ul2.examples import BatchPlan as DenoisingPlan
from omnitrain_ul2.examples import denoise_batch, plan_batches
from omnitrain_ul2.lengths import plan_segments, sentinels_needed
from omnitrain_ul2.mixture import MixtureSampler, generator_state, restore_generator
from omnitrain_ul2.modes import tokenizer_config, vocabulary_of
from omnitrain_ul2.segments import Documents, SegmentTable
from omnitrain_ul2.vocabulary import Vocabulary

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
        self.batch: Fields = layouts.ENCODER_DECODER if config.layout == "encoder-decoder" else layouts.DECODER_ONLY
        # Checked here, before any text is read: lengths that do not fit and mixtures that can't be drawn.
        self._unmarked = plan_segments(self.mixture.denoisers, config.inputs_length, self._most_targets(self.mixture.denoisers))
        self._tokenizer: PreTrainedTokenizerFast | None = None
        self._vocabulary: Vocabulary | None = None
        self._documents: dict[str, Documents] = {}
        self._tables: dict[tuple[str, int, Denoiser], SegmentTable] = {}
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
        self._vocabulary = vocabulary_of(self._tokenizer, self.config.modes, needed > 0)
        self.plan(self.mixture.denoisers)
        self.files = prepare_tokens(self.text, self._tokenizer, workspace, context)
        self._documents = {split: Documents(file) for split, file in self.files.items()}
        for denoiser, rate in zip(self.mixture.denoisers, self.mixture.rates, strict=True):
            if rate:
                self.table(train, self.plan((denoiser,)), 0)

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

    def table(self, split: str, plan: DenoisingPlan, number: int) -> SegmentTable:
        """Return the segments of one denoiser of a plan.

        Raises DataError for an unknown split and for too short a text.
        """
        if split not in self._documents:
            raise DataError(f"There is no split {split!r}; there are {', '.join(self._documents)}.")
        segment = plan.segments[number]
        key = (split, segment.tokens_length, segment.denoiser)
        if key not in self._tables:
            join, shortest = self.config.join_documents, self.config.shortest_segment
            self._tables[key] = SegmentTable(self._documents[split], segment, join, shortest)
        return self._tables[key]

    def denoise(
        self, split: str, places: tuple[Ints, Ints], tasks: Ints, plan: DenoisingPlan, generator: np.random.Generator
    ) -> Batch:
        """Make the batch of raw segments. places: (start, length) of each row. tasks: denoiser of each row in the plan."""
        starts, lengths = places
        raw = self._documents[split].gather(starts, lengths)
        examples = denoise_batch(raw, tasks, plan, generator, lengths)
        lay_out = layouts.encoder_decoder if self.config.layout == "encoder-decoder" else layouts.decoder_only
        batch = lay_out(examples, plan.vocabulary)
        batch["task_ids"] = torch.from_numpy(tasks)
        batch["example_ids"] = starts
        return batch

    def batches(self, split: str, plan: BatchPlan) -> DenoisingStream:
        """Return the batches of a split."""
        return DenoisingStream(self, split, plan)

    def examples(self, split: str) -> Iterator[Batch]:
        """Yield single examples of a split, in a fixed order, once."""
        return iter(self.batches(split, BatchPlan(1, 0, train=False)))

    def collate(self, examples: Sequence[Batch]) -> Batch:
        """Make a batch of single examples, padded to the longest."""
        fields = [name for name in self.batch if name != "task_ids"]
        pads = dict.fromkeys(fields, 0) | {n: self.vocabulary.pad_id for n in fields if n.endswith("_ids") or n == "labels"}
        batch: Batch = {n: _pad_rows([e[n][0] for e in examples], pads[n]) for n in fields}
        batch["task_ids"] = torch.cat([e["task_ids"] for e in examples])
        return batch

    def token_counts(self, split: str) -> Ints:
        """Return how often each id occurs in a split, int64[vocabulary_size]."""
        return self.files[split].counts

    def explain(self, batch: Batch, row: int) -> Mapping[str, Sequence[Piece]]:
        """Show the task, the inputs and the targets of a row."""
        explain = explain_encoder_decoder if self.config.layout == "encoder-decoder" else explain_decoder_only
        name = self.mixture.denoisers[int(batch["task_ids"][row])].name
        return {"denoiser": [Piece(name)], **explain(self.tokenizer, batch, row)}


def _pad_rows(rows: Sequence[torch.Tensor], value: int) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=value)


class DenoisingStream:
    """Batches in which every row's denoiser is drawn by the mixture's rates.

    The state is one position per denoiser and two generators, so going on costs the same wherever it stood.
    """

    def __init__(self, data: DenoisingData, split: str, plan: BatchPlan) -> None:
        self._data, self._split, self._plan = data, split, plan
        self._denoising = data.plan(data.mixture.denoisers)
        self._tables = [data.table(split, self._denoising, i) if rate else None for i, rate in enumerate(data.mixture.rates)]
        seeds = np.random.SeedSequence([plan.seed, plan.rank]).spawn(2)
        self._sampler = MixtureSampler(data.mixture, int(seeds[0].generate_state(1, np.uint64)[0]))
        self._generator = np.random.default_rng(seeds[1])
        self._positions = np.zeros(len(self._tables), np.int64)
        self._left = None if plan.train else self._once()

    def _once(self) -> int:
        """Rows of one pass: as many as the drawn denoisers have segments on average."""
        sizes = [0 if table is None else len(table) for table in self._tables]
        rows = sum(p * n for p, n in zip(self._data.mixture.probabilities, sizes, strict=True))
        return max(1, math.ceil(rows / self._plan.world))

    def __iter__(self) -> Iterator[Batch]:
        while self._left is None or self._left > 0:
            rows = self._plan.batch_size if self._left is None else min(self._plan.batch_size, self._left)
            tasks = self._sampler.draw(rows)
            places = self._places(tasks)
            if self._left is not None:
                self._left -= rows
            yield self._data.denoise(self._split, places, tasks, self._denoising, self._generator)

    def _places(self, tasks: Ints) -> tuple[Ints, Ints]:
        starts, lengths = np.empty_like(tasks), np.empty_like(tasks)
        for number, table in enumerate(self._tables):
            chosen = np.flatnonzero(tasks == number)
            if table is None or not len(chosen):
                continue
            positions = (self._positions[number] + np.arange(len(chosen))) * self._plan.world + self._plan.rank
            self._positions[number] += len(chosen)
            numbers = table.shuffled(positions, self._plan.seed + number) if self._plan.train else positions % len(table)
            starts[chosen], lengths[chosen] = table.places(numbers)
        return starts, lengths

    def state_dict(self) -> dict[str, Any]:
        """Return positions, sampler, generator and rows left."""
        return {
            "positions": self._positions.copy(),
            "sampler": self._sampler.state_dict(),
            "generator": generator_state(self._generator),
            "left": self._left,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where that state stood.

        Raises DataError when it belongs to another mixture.
        """
        self._sampler.load_state_dict(state["sampler"])
        restore_generator(self._generator, state["generator"])
        self._positions = np.array(state["positions"], np.int64)
        self._left = state["left"]


def build(config: DenoisingConfig, context: Context) -> DenoisingData:
    """Make the data `ul2/denoising`."""
    return DenoisingData(config, context.build(config.text))
