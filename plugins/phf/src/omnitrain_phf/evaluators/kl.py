"""Evaluator `phf/kl`: how far a model is from a reference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from typing import Any

import torch

from omnitrain.api import Context, Evaluation, Metric, Run, mean_metric, user_path
from omnitrain.engine import evaluating
from omnitrain.errors import DataError, UsageError
from omnitrain_language.records import Problems, json_records
from omnitrain_phf.configs.evaluators import KlConfig
from omnitrain_phf.models.writing import (
    Writes,
    WritingSettings,
    banned_ids,
    condition_text,
    context_length,
    decode,
    encode,
    other_predictor,
    token_of,
    write,
    writer,
)
from omnitrain_phf.paper.kl import forward_kl, insert_prefix, sequence_logprobs


class Kl:
    """KL(reference || model) in nats a text."""

    def __init__(self, config: KlConfig) -> None:
        self.config = config

    def check_data(self, data: Any, run: Run, /) -> None:
        """See `omnitrain.api.ChecksData`: the file of texts is read."""
        if self.config.texts is not None:
            self._file(self.config.texts)

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Return the divergence.

        Raises UsageError for a model that is no causal language model, DataError for a file without texts.
        """
        config, model = self.config, writer(predictor, "phf/kl")
        texts, reference = self._file(str(config.texts)) if config.texts is not None else self._sampled(model, run)
        prefix = condition_text(model, config.condition, config)
        prefixed = [insert_prefix(text, prefix, config.prefix_each_line) if prefix else text for text in texts]
        own = self._logprobs(model, prefixed, prefix, run)
        differences = [r - o for r, o in zip(reference, own, strict=True)]
        metric = mean_metric(differences, "lower", "nats/text")
        metrics = {"kl": Metric(forward_kl(reference, own), metric.n, "lower", metric.interval, "nats/text")}
        metrics["characters"] = mean_metric([float(len(text)) for text in texts], "none")
        return Evaluation(metrics)

    def _file(self, path: str) -> tuple[list[str], list[float]]:
        """Read texts with log-probabilities. Raises DataError naming the line of a malformed one."""
        place, problems = user_path(path), Problems(refuse=True)
        if not place.is_file():
            raise DataError(f'texts {path}: no such file; expected JSON lines {{"text": ..., "logprob": ...}}')
        texts: list[str] = []
        found: list[float] = []
        for number, record in islice(json_records(place, problems), self.config.samples):
            text, value = record.get("text"), record.get("logprob")
            if not isinstance(text, str) or not isinstance(value, int | float) or not math.isfinite(value):
                raise DataError(f'{path}:{number}: expected {{"text": a string, "logprob": a finite number}}')
            texts.append(text)
            found.append(value)
        problems.file_ended()
        if not texts:
            raise DataError(f"texts {path}: holds none")
        return texts, found

    def _sampled(self, model: Writes, run: Run) -> tuple[list[str], list[float]]:
        config = self.config
        assert config.reference is not None
        device = next(model.model.parameters()).device
        reference = other_predictor(config.reference, run, device)
        settings = WritingSettings(
            max_length=config.max_tokens + 1,
            min_new_tokens=1,
            temperature=1.0,
            top_p=1.0,
            batch_size=config.batch_size,
            banned_ids=banned_ids(reference, "both", config),
            seed=run.seed("reference"),
        )
        with run.progress("write reference texts", config.samples) as progress:
            texts = [decode(reference, row) for row in write(reference, [""] * config.samples, settings, progress)]
        return texts, self._logprobs(reference, texts, "", run)

    def _logprobs(self, source: Writes, texts: Sequence[str], prefix: str, run: Run) -> list[float]:
        """Return the summed log-probability of each text's own tokens; control tokens are context."""
        found: list[float] = []
        control = token_of(source, prefix) if prefix else None
        device = next(source.model.parameters()).device
        pad = source.eos_ids[0]
        rows = [encode(source, text) for text in texts]
        limit, longest = context_length(source), max(map(len, rows))
        if limit is not None and longest > limit:
            raise UsageError(f"a text has {longest} tokens, the model is made for {limit}: lower max_tokens or cut the texts")
        with run.progress("score texts", len(texts)) as progress, evaluating(source.model):
            for first in range(0, len(rows), self.config.batch_size):
                batch = rows[first : first + self.config.batch_size]
                width = max(map(len, batch))
                ids = torch.tensor([row + [pad] * (width - len(row)) for row in batch], device=device)
                mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in batch], device=device)
                logits = source.model(input_ids=ids, attention_mask=mask, use_cache=False).logits
                counted = mask if control is None else mask * (ids != control)
                if self.config.official_mask:
                    counted = mask
                found += sequence_logprobs(logits, ids, counted, self.config.official_mask).double().tolist()
                progress.advance(len(batch))
        return found


def build(config: KlConfig, context: Context) -> Kl:
    """Make the evaluator `phf/kl`."""
    return Kl(config)
