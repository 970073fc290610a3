"""Data `ul2/denoising`: any text under a mixture of denoisers, one drawn per example."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from omnitrain.api import Batch, BatchPlan, Context, Data, Fields, Piece, Prepares
from omnitrain.errors import UsageError
from omnitrain_language.decoder_start import decoder_start
from omnitrain_language.explain import explain_decoder_only, explain_encoder_decoder
from omnitrain_language.tokenizers import prepare_tokenizer, save_tokenizer, tokenizer_facts
from omnitrain_language.tokens import TokenFile, prepare_tokens, texts_of
from omnitrain_ul2.configs.data import DenoiserConfig, DenoisingConfig
from omnitrain_ul2.data import layouts
from omnitrain_ul2.data.corrupting import Corrupter, most_targets
from omnitrain_ul2.data.modes import tokenizer_config, vocabulary_of
from omnitrain_ul2.data.segments import Documents
from omnitrain_ul2.data.stream import DenoisingStream, PackedStream
from omnitrain_ul2.paper.denoisers import Denoiser
from omnitrain_ul2.paper.lengths import plan_segments, sentinels_needed
from omnitrain_ul2.paper.mixtures import Mixture, mixture
from omnitrain_ul2.paper.vocabulary import Vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Ints = npt.NDArray[np.int64]


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
        denoisers = self.mixture.denoisers
        self._unmarked = plan_segments(denoisers, config.inputs_length, most_targets(config, denoisers))
        self._tokenizer: PreTrainedTokenizerFast | None = None
        self._corrupter: Corrupter | None = None
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
        self._tokenizer = prepare_tokenizer(settings, texts_of(self.text, train), self.text.fingerprint, workspace, context)
        vocabulary = vocabulary_of(self._tokenizer, self.config.modes, needed > 0, self.config.layout)
        if self.config.layout == "encoder-decoder":
            vocabulary = replace(vocabulary, decoder_start_id=decoder_start(self._tokenizer, context))
        # Planned before the text is tokenised too: lengths and sentinels that do not fit are refused at once.
        Corrupter(self.config, self.mixture, vocabulary, {})
        self.files = prepare_tokens(self.text, self._tokenizer, workspace, context)
        self.use_documents(vocabulary, {split: Documents(file) for split, file in self.files.items()})

    def use_documents(self, vocabulary: Vocabulary, documents: Mapping[str, Documents]) -> None:
        """Take tokenised documents by split, as `prepare` does with those of the text.

        Raises UsageError where lengths or sentinels do not fit, DataError for too short a text.
        """
        self._corrupter = Corrupter(self.config, self.mixture, vocabulary, documents)
        self._corrupter.tables(next(iter(documents)), training=True)

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer, once prepared."""
        if self._tokenizer is None:
            raise RuntimeError("ul2/denoising was not prepared yet")
        return self._tokenizer

    @property
    def corrupter(self) -> Corrupter:
        """What makes examples of this text, once prepared."""
        if self._corrupter is None:
            raise RuntimeError("ul2/denoising was not prepared yet")
        return self._corrupter

    @property
    def vocabulary(self) -> Vocabulary:
        """Sentinels, modes, pad and EOS, once prepared."""
        return self.corrupter.vocabulary

    def facts(self) -> Mapping[str, Any]:
        """Return the tokenizer's sizes and ids, the names of the denoisers, and the positions that a model needs."""
        names = [d.name for d in self.mixture.denoisers]
        told = {"positions": self.corrupter.positions, "positions_setting": "inputs_length"}
        start = self.vocabulary.decoder_start_id
        starts = {} if start is None else {"decoder_start_id": start}
        return {**tokenizer_facts(self.tokenizer), "group_names": {"task_ids": names}, **starts, **told}

    def save_assets(self, directory: Path) -> None:
        """Write the tokenizer into the model's folder."""
        save_tokenizer(self.tokenizer, directory, self.config.layout)

    def splits(self) -> Sequence[str]:
        """Name the splits of the text."""
        return self.text.splits()

    def batches(self, split: str, plan: BatchPlan) -> DenoisingStream:
        """Return the batches of a split."""
        stream = (PackedStream if self.config.pack else DenoisingStream)(self.corrupter, split, plan)
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


def denoising_data(data: Any, name: str) -> DenoisingData:
    """Return data that is `ul2/denoising`. name: address of what needs it.

    Raises UsageError for any other.
    """
    if not isinstance(data, DenoisingData):
        raise UsageError(f"{name} measures on ul2/denoising data; set the stage's data to it.")
    return data


def build(config: DenoisingConfig, context: Context) -> DenoisingData:
    """Make the data `ul2/denoising`."""
    return DenoisingData(config, context.build(config.text))
