"""Evaluators `ul2/cross-denoising` and `ul2/samples`."""

from __future__ import annotations

from typing import Any

import numpy as np

from omnitrain.api import Context, Evaluation, Generates, Metric, Run, Sample, Scores, Table, numpy_generator
from omnitrain.errors import UsageError
from omnitrain_ul2.configs import CrossDenoisingConfig, SamplesConfig
from omnitrain_ul2.crossing import cross_denoising
from omnitrain_ul2.data import DenoisingData
from omnitrain_ul2.denoisers import PREFIX_LM, SPAN_CORRUPTION, Denoiser


def _denoising(data: Any, name: str) -> DenoisingData:
    if not isinstance(data, DenoisingData):
        raise UsageError(f"{name} measures on ul2/denoising data; set the stage's data to it.")
    return data


class CrossDenoising:
    """Held-out loss per content token on each denoiser, beside the unigram level."""

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
        table = Table(("denoiser", "loss", "unigram", "tokens"), rows, "Loss per content token (nats) on held-out text.")
        return Evaluation(metrics, {"cross-denoising": table})


class ModeSamples:
    """What the model writes in each mode: spans filled in for R and X, a text continued for S."""

    def __init__(self, config: SamplesConfig) -> None:
        self.config = config

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Write the samples.

        Raises UsageError when the predictor can't generate or the data is not denoising data.
        """
        if not isinstance(predictor, Generates):
            raise UsageError("ul2/samples needs a predictor that can write text (ability `generate_text`).")
        data = _denoising(data, "ul2/samples")
        tasks = (SPAN_CORRUPTION, Denoiser("X", 8.0, 0.5), PREFIX_LM)
        samples = {}
        with run.progress("samples", len(tasks)) as bar:
            for denoiser in tasks:
                samples[f"mode {denoiser.kind}"] = self._mode(predictor, data, denoiser, run)
                bar.advance()
        return Evaluation(samples=samples)

    def _mode(self, predictor: Any, data: DenoisingData, denoiser: Denoiser, run: Run) -> list[Sample]:
        config, tokenizer, vocabulary = self.config, data.tokenizer, data.vocabulary
        plan = data.plan((denoiser,))
        table = data.table(config.split, plan, 0)
        numbers = np.linspace(0, len(table) - 1, config.count).astype(np.int64)
        generator = numpy_generator(run.seed(f"samples {denoiser.name}"))
        batch = data.denoise(config.split, table.places(numbers), np.zeros(len(numbers), np.int64), plan, generator)
        prompts, wanted = [], []
        for row in range(len(numbers)):
            real = batch["attention_mask"][row]
            if "prefix_mask" in batch:
                real = batch["prefix_mask"][row]
            ids = [i for i in batch["input_ids"][row][real].tolist() if i != vocabulary.eos_id]
            prompts.append(tokenizer.decode(ids, skip_special_tokens=False))
            labels = batch["labels"][row][batch["loss_weights"][row] > 0].tolist()
            wanted.append(tokenizer.decode([i for i in labels if i != vocabulary.eos_id], skip_special_tokens=False))
        outputs = predictor.generate_text(
            prompts,
            max_new_tokens=config.max_new_tokens,
            temperature=config.temperature,
            seed=run.seed("samples"),
            skip_special_tokens=False,
        )
        return [Sample({"inputs": p, "written": o, "held out": w}) for p, o, w in zip(prompts, outputs, wanted, strict=True)]


def build_cross_denoising(config: CrossDenoisingConfig, context: Context) -> CrossDenoising:
    """Make the evaluator `ul2/cross-denoising`."""
    return CrossDenoising(config)


def build_samples(config: SamplesConfig, context: Context) -> ModeSamples:
    """Make the evaluator `ul2/samples`."""
    return ModeSamples(config)
