"""Evaluator `ul2/samples`: what a model writes in each mode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from omnitrain.api import Batch, Context, Evaluation, Run, Sample, numpy_generator
from omnitrain.engine import check_split
from omnitrain.errors import UsageError
from omnitrain_language.detokenising import continuation
from omnitrain_language.sampling import GenerationSettings
from omnitrain_ul2.configs.evaluators import SamplesConfig
from omnitrain_ul2.data.denoising import DenoisingData, denoising_data
from omnitrain_ul2.paper.denoisers import PREFIX_LM, SPAN_CORRUPTION, Denoiser

TASKS = (SPAN_CORRUPTION, Denoiser("X", 8.0, 0.5), PREFIX_LM)


@runtime_checkable
class DecodesIds(Protocol):
    """A predictor whose decoding starts from token ids; the predictors of omnitrain-language do."""

    def continue_ids(self, prompts: Sequence[Sequence[int]], settings: GenerationSettings) -> list[list[int]]:
        """Return the new ids of a batch of prompts, the end of sequence left out."""


def prompt_ids(batch: Batch) -> list[list[int]]:
    """Return the inputs of each row, mode and EOS included, exactly as a model reads them in training.

    Text would not do: decoded and encoded again, a segment that begins or ends inside a word gives other tokens.
    """
    real = batch["prefix_mask"] if "prefix_mask" in batch else batch["attention_mask"]
    return [ids[mask].tolist() for ids, mask in zip(batch["input_ids"], real, strict=True)]


class ModeSamples:
    """What the model writes in each mode: spans filled in for R and X, a text continued for S."""

    def __init__(self, config: SamplesConfig) -> None:
        self.config = config

    def check_data(self, data: Any, run: Run, /) -> None:
        """See `omnitrain.api.ChecksData`: other data, no such split, and too few sentinels are refused before training."""
        corrupter = denoising_data(data, "ul2/samples").corrupter
        check_split(data, self.config.split)
        for denoiser in TASKS:
            corrupter.plan((denoiser,))

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Write the samples.

        Raises UsageError when the predictor takes no token ids or the data is not denoising data.
        """
        if not isinstance(predictor, DecodesIds):
            raise UsageError("ul2/samples needs a predictor that starts from token ids, as language/t5 and language/causal do.")
        data = denoising_data(data, "ul2/samples")
        samples = {}
        with run.progress("samples", len(TASKS)) as bar:
            for denoiser in TASKS:
                samples[f"mode {denoiser.kind}"] = self._mode(predictor, data, denoiser, run)
                bar.advance()
        return Evaluation(samples=samples)

    def _mode(self, predictor: DecodesIds, data: DenoisingData, denoiser: Denoiser, run: Run) -> list[Sample]:
        config, tokenizer, vocabulary = self.config, data.tokenizer, data.vocabulary
        plan = data.corrupter.plan((denoiser,))
        table = data.corrupter.table(config.split, plan, 0)
        numbers = np.linspace(0, len(table) - 1, config.count).astype(np.int64)
        generator = numpy_generator(run.seed(f"samples {denoiser.name}"))
        batch = data.corrupter.denoise(config.split, table.places(numbers), np.zeros(len(numbers), np.int64), plan, generator)
        prompts = prompt_ids(batch)

        def text(ids: Sequence[int], before: Sequence[int] = ()) -> str:
            shown = [i for i in ids if i != vocabulary.eos_id]
            return continuation(tokenizer, before, shown, skip_special_tokens=False)

        settings = GenerationSettings(config.max_new_tokens, config.temperature, seed=run.seed("samples"))
        written = predictor.continue_ids(prompts, settings)
        labels = [batch["labels"][row][batch["loss_weights"][row] > 0].tolist() for row in range(len(prompts))]
        follows = "prefix_mask" in batch
        return [
            Sample({"inputs": text(p), **{n: text(ids, p if follows else ()) for n, ids in (("written", o), ("held out", w))}})
            for p, o, w in zip(prompts, written, labels, strict=True)
        ]


def build(config: SamplesConfig, context: Context) -> ModeSamples:
    """Make the evaluator `ul2/samples`."""
    return ModeSamples(config)
