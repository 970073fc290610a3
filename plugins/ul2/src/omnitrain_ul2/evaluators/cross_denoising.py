"""Evaluator `ul2/cross-denoising`: held-out loss on any denoiser, so that models of different objectives compare."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from omnitrain.api import Batch, Context, Evaluation, Metric, Run, Scores, Table, numpy_generator, ratio_metric
from omnitrain.engine import check_split
from omnitrain.errors import UsageError
from omnitrain_ul2.configs.evaluators import CrossDenoisingConfig
from omnitrain_ul2.data.denoising import DenoisingData, denoising_data, make_mixture
from omnitrain_ul2.paper.denoisers import Denoiser
from omnitrain_ul2.paper.vocabulary import Vocabulary


def task_batches(
    data: DenoisingData, denoiser: Denoiser, split: str, rows: int, batch_size: int, mode: str, seed: int
) -> Iterator[Batch]:
    """Yield the first `rows` segments of a split under one denoiser; the same seed gives the same masks."""
    plan = data.corrupter.plan((denoiser,), mode)
    table = data.corrupter.table(split, plan, 0)
    generator = numpy_generator(seed)
    numbers = np.unique(np.linspace(0, len(table) - 1, min(rows, len(table))).astype(np.int64))
    for first in range(0, len(numbers), batch_size):
        chosen = numbers[first : first + batch_size]
        yield data.corrupter.denoise(split, table.places(chosen), np.zeros(len(chosen), np.int64), plan, generator)


def content_weights(batch: Batch, vocabulary: Vocabulary) -> Tensor:
    """Return float32[batch, length], 1 on target tokens that are text: no sentinel, no EOS, no padding."""
    labels = batch["labels"]
    sentinel = (labels <= vocabulary.first_sentinel) & (labels > vocabulary.first_sentinel - vocabulary.sentinels)
    weights: Tensor = batch["loss_weights"] * ~(sentinel | (labels == vocabulary.eos_id))
    return weights


@dataclass
class TaskLoss:
    """Sums of one task: loss and squared loss per row, tokens, and the loss of the unigram frequencies."""

    rows: list[float]
    weights: list[float]
    unigram: float = 0.0

    @property
    def tokens(self) -> float:
        """Content tokens measured."""
        return sum(self.weights)

    def metric(self) -> Metric:
        """Return the mean per token with its interval over rows."""
        return ratio_metric(self.rows, self.weights, "lower", "nats/token", n=round(self.tokens))


def unigram_losses(data: DenoisingData) -> Tensor:
    """Return -log frequency of each id in the train split, float32[vocabulary]; unseen ids count as seen once."""
    counts = torch.from_numpy(np.maximum(data.token_counts(data.splits()[0]), 1).astype(np.float64))
    return (-(counts / counts.sum()).log()).float()


def cross_denoising(
    predictor: Scores, data: DenoisingData, config: CrossDenoisingConfig, run: Run, mode: str | None = None
) -> Mapping[str, TaskLoss]:
    """Measure a predictor on every denoiser of the config's mixture, by name.

    Raises UsageError when the config wants text ids only and the predictor cannot leave ids out.
    """
    score = scorer(predictor, data.vocabulary, config)

    def weigh(batch: Batch) -> Tensor:
        weights: Tensor = batch["loss_weights"]
        return weights if config.tokens == "targets" else content_weights(batch, data.vocabulary)

    frequencies = unigram_losses(data)
    found = {}
    denoisers = make_mixture(config.mixture, config.denoisers).denoisers
    chosen = mode or config.mode
    with run.progress("cross-denoising", len(denoisers)) as bar:
        for denoiser in denoisers:
            batches = task_batches(
                data, denoiser, config.split, config.rows, config.batch_size, chosen, run.seed(f"masks {denoiser.name}")
            )
            found[denoiser.name] = _measure(score, batches, weigh, frequencies)
            bar.advance()
    return found


@runtime_checkable
class ScoresWithout(Protocol):
    """A predictor that can leave ids out of its probabilities; those of omnitrain-language do."""

    def score_without(self, batch: Batch, excluded: Tensor) -> Tensor:
        """Return log-probabilities of the labels given that no excluded id comes, float32[batch, length]."""


def scorer(predictor: Scores, vocabulary: Vocabulary, config: CrossDenoisingConfig) -> Callable[[Batch], Tensor]:
    """Return what gives log-probabilities of a batch's labels over the vocabulary that counts.

    Raises UsageError when the predictor cannot leave ids out.
    """
    if config.tokens == "targets":
        return predictor.score
    if not isinstance(predictor, ScoresWithout):
        raise UsageError("tokens: this predictor cannot leave sentinels out of its probabilities; set it to targets.")
    excluded = torch.tensor(vocabulary.not_text)
    return lambda batch: predictor.score_without(batch, excluded)


def _measure(
    score: Callable[[Batch], Tensor], batches: Iterator[Batch], weigh: Callable[[Batch], Tensor], frequencies: Tensor
) -> TaskLoss:
    task = TaskLoss([], [])
    for batch in batches:
        weights = weigh(batch)
        losses = torch.where(weights != 0, -score(batch).cpu() * weights, 0.0)
        task.rows += losses.sum(1).tolist()
        task.weights += weights.sum(1).tolist()
        task.unigram += float((frequencies[batch["labels"]] * weights).sum())
    return task


def caption(config: CrossDenoisingConfig) -> str:
    """Say what the losses of a table count."""
    return f"Loss per {'token of text' if config.tokens == 'text' else 'target token'} (nats) on held-out text."


class CrossDenoising:
    """Held-out loss on each denoiser, beside the unigram level."""

    def __init__(self, config: CrossDenoisingConfig) -> None:
        self.config = config

    def check_data(self, data: Any, run: Run, /) -> None:
        """See `omnitrain.api.ChecksData`: other data, no such split, and too few sentinels are refused before training."""
        config, corrupter = self.config, denoising_data(data, "ul2/cross-denoising").corrupter
        check_split(data, config.split)
        for denoiser in make_mixture(config.mixture, config.denoisers).denoisers:
            corrupter.table(config.split, corrupter.plan((denoiser,), config.mode), 0)

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Measure every denoiser.

        Raises UsageError when the predictor can't score or the data is not denoising data.
        """
        if not isinstance(predictor, Scores):
            raise UsageError("ul2/cross-denoising needs a predictor that can score batches (ability `score`).")
        found = cross_denoising(predictor, denoising_data(data, "ul2/cross-denoising"), self.config, run)
        metrics: dict[str, Metric] = {name: task.metric() for name, task in found.items()}
        rows = [[n, metrics[n].value, t.unigram / t.tokens, round(t.tokens)] for n, t in found.items()]
        table = Table(("denoiser", "loss", "unigram", "tokens"), rows, caption(self.config))
        return Evaluation(metrics, {"cross-denoising": table})


def build(config: CrossDenoisingConfig, context: Context) -> CrossDenoising:
    """Make the evaluator `ul2/cross-denoising`."""
    return CrossDenoising(config)
