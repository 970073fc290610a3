"""Evaluator `phf/clean-nll`: what good text costs a model."""

from __future__ import annotations

from typing import Any

import torch

from omnitrain.api import Context, Evaluation, Run, Scores
from omnitrain.engine import check_split, in_order
from omnitrain.errors import DataError, UsageError
from omnitrain_language.evaluators import TokenMean
from omnitrain_phf.configs.evaluators import CleanNllConfig


class CleanNll:
    """NLL per token over the tokens of good segments."""

    def __init__(self, config: CleanNllConfig) -> None:
        self.config = config

    def check_data(self, data: Any, run: Run, /) -> None:
        """See `omnitrain.api.ChecksData`: data without scores, or without the split, is refused before training."""
        check_split(data, self.config.split)
        if "token_scores" not in data.batch:
            raise UsageError("phf/clean-nll needs data with token_scores, such as phf/scored-text.")

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Return the mean over tokens.

        Raises UsageError for a predictor that can't score, or data without scores.
        """
        if not isinstance(predictor, Scores) or "token_scores" not in getattr(data, "batch", {}):
            raise UsageError("phf/clean-nll needs a model that can score batches and data with token_scores (phf/scored-text)")
        config, mean = self.config, TokenMean()
        tokenizer = getattr(predictor, "tokenizer", None)
        known = {} if tokenizer is None else tokenizer.get_vocab()
        controls = torch.tensor([known[t] for t in (config.aligned, config.misaligned) if t in known], dtype=torch.int64)
        seed, most = run.seed("evaluation order"), config.max_batches
        with run.progress(f"score {config.split}") as progress:
            for batch in in_order(data, config.split, config.batch_size, seed=seed, most=most):
                counted = (batch["token_scores"] <= config.threshold) & ~torch.isin(batch["labels"], controls)
                weights = batch["loss_weights"] * counted
                mean.add_tokens(-predictor.score(batch).cpu() * weights, weights)
                progress.advance()
        if not mean.weight:
            raise DataError(
                f"split {config.split!r} has no token with a score of at most {config.threshold:g}; raise threshold"
            )
        return Evaluation({"nll": mean.metric()})


def build(config: CleanNllConfig, context: Context) -> CleanNll:
    """Make the evaluator `phf/clean-nll`."""
    return CleanNll(config)
