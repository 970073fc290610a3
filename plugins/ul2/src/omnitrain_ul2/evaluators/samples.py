"""Evaluators `ul2/cross-denoising`, `ul2/samples` and `ul2/tokens-seen`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch import nn

from omnitrain.api import Batch, Context, Evaluation, Metric, Run, Sample, Scores, Table, numpy_generator
from omnitrain.errors import UsageError
from omnitrain_language.decoding import Decoder, generate_ids
from omnitrain_language.predictor import evaluating
from omnitrain_language.sampling import GenerationSettings
from omnitrain_ul2.configs.data import CrossDenoisingConfig, SamplesConfig, TokensSeenConfig
from omnitrain_ul2.data.denoising import DenoisingData
from omnitrain_ul2.evaluators.cross_denoising import caption, cross_denoising
from omnitrain_ul2.paper.denoisers import PREFIX_LM, SPAN_CORRUPTION, Denoiser


def _denoising(data: Any, name: str) -> DenoisingData:
    if not isinstance(data, DenoisingData):
        raise UsageError(f"{name} measures on ul2/denoising data; set the stage's data to it.")
    return data


@runtime_checkable
class DecodesIds(Protocol):
    """A predictor whose decoding starts from token ids; the predictors of omnitrain-language do."""

    model: nn.Module
    eos_ids: Sequence[int]

    def decoder(self) -> Decoder:
        """Return a fresh decoder."""


def prompt_ids(batch: Batch) -> list[list[int]]:
    """Return the inputs of each row, mode and EOS included, exactly as a model reads them in training.

    Text would not do: decoded and encoded again, a segment that begins or ends inside a word gives other tokens.
    """
    real = batch["prefix_mask"] if "prefix_mask" in batch else batch["attention_mask"]
    return [ids[mask].tolist() for ids, mask in zip(batch["input_ids"], real, strict=True)]


class CrossDenoising:
    """Held-out loss on each denoiser, beside the unigram level."""

    def __init__(self, config: CrossDenoisingConfig) -> None:
        self.config = config

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Measure every denoiser.

        Raises UsageError when the predictor can't score or the data is not denoising data.
        """
        if not isinstance(predictor, Scores):
            raise UsageError("ul2/cross-denoising needs a predictor that can score batches (ability `score`).")
        found = cross_denoising(predictor, _denoising(data, "ul2/cross-denoising"), self.config, run)
        metrics: dict[str, Metric] = {name: task.metric() for name, task in found.items()}
        rows = [[n, metrics[n].value, t.unigram / t.tokens, round(t.tokens)] for n, t in found.items()]
        table = Table(("denoiser", "loss", "unigram", "tokens"), rows, caption(self.config))
        return Evaluation(metrics, {"cross-denoising": table})


class ModeSamples:
    """What the model writes in each mode: spans filled in for R and X, a text continued for S."""

    def __init__(self, config: SamplesConfig) -> None:
        self.config = config

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Write the samples.

        Raises UsageError when the predictor takes no token ids or the data is not denoising data.
        """
        if not isinstance(predictor, DecodesIds):
            raise UsageError("ul2/samples needs a predictor that starts from token ids, as language/t5 and language/causal do.")
        data = _denoising(data, "ul2/samples")
        tasks = (SPAN_CORRUPTION, Denoiser("X", 8.0, 0.5), PREFIX_LM)
        samples = {}
        with run.progress("samples", len(tasks)) as bar:
            for denoiser in tasks:
                samples[f"mode {denoiser.kind}"] = self._mode(predictor, data, denoiser, run)
                bar.advance()
        return Evaluation(samples=samples)

    def _mode(self, predictor: DecodesIds, data: DenoisingData, denoiser: Denoiser, run: Run) -> list[Sample]:
        config, tokenizer, vocabulary = self.config, data.tokenizer, data.vocabulary
        plan = data.plan((denoiser,))
        table = data.table(config.split, plan, 0)
        numbers = np.linspace(0, len(table) - 1, config.count).astype(np.int64)
        generator = numpy_generator(run.seed(f"samples {denoiser.name}"))
        batch = data.denoise(config.split, table.places(numbers), np.zeros(len(numbers), np.int64), plan, generator)
        prompts = prompt_ids(batch)

        def text(ids: Sequence[int]) -> str:
            return str(tokenizer.decode([i for i in ids if i != vocabulary.eos_id], skip_special_tokens=False))

        settings = GenerationSettings(config.max_new_tokens, config.temperature, seed=run.seed("samples"))
        with evaluating(predictor.model):
            written = generate_ids(predictor.decoder(), prompts, settings, predictor.eos_ids)
        labels = [batch["labels"][row][batch["loss_weights"][row] > 0].tolist() for row in range(len(prompts))]
        return [
            Sample({"inputs": text(p), "written": text(o), "held out": text(w)})
            for p, o, w in zip(prompts, written, labels, strict=True)
        ]


class TokensSeen:
    """Examples and tokens of each denoiser that training has used so far, and the share of the batches they fill."""

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Read the counts of the stage's training batches, of this process.

        Raises UsageError outside of a training stage.
        """
        data = _denoising(data, "ul2/tokens-seen")
        if data.training is None:
            raise UsageError("ul2/tokens-seen counts training batches; list it in the evaluators of a core/fit stage.")
        seen = data.training.seen
        names = [denoiser.name for denoiser in data.mixture.denoisers]
        sides = ("examples", "input tokens", "target tokens")
        metrics = {
            f"{name}/{side}": Metric(float(count), int(counts[0]))
            for name, counts in zip(names, seen.by_task, strict=True)
            for side, count in zip(sides, counts.tolist(), strict=True)
        }
        names_of_fill = ("fill",) if len(seen.room) == 1 else ("fill of inputs", "fill of targets")
        for name, used, room in zip(names_of_fill, seen.used.tolist(), seen.room.tolist(), strict=True):
            metrics[name] = Metric(used / max(room, 1), room, "higher")
        totals = seen.by_task.sum(axis=0)
        rows = [[name, *counts] for name, counts in zip(names, seen.by_task.tolist(), strict=True)]
        rows.append(["all", *totals.tolist()])
        return Evaluation(metrics, {"tokens seen": Table(("denoiser", *sides), rows, "Trained on so far.")})


def build_tokens_seen(config: TokensSeenConfig, context: Context) -> TokensSeen:
    """Make the evaluator `ul2/tokens-seen`."""
    return TokensSeen()


def build_cross_denoising(config: CrossDenoisingConfig, context: Context) -> CrossDenoising:
    """Make the evaluator `ul2/cross-denoising`."""
    return CrossDenoising(config)


def build_samples(config: SamplesConfig, context: Context) -> ModeSamples:
    """Make the evaluator `ul2/samples`."""
    return ModeSamples(config)
