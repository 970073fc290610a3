"""Evaluator `phf/values`: the value head beside the scores that come."""

from __future__ import annotations

import math
from typing import Any

import torch

from omnitrain.api import Context, Evaluation, Metric, Run
from omnitrain.engine import check_split, evaluating, in_order, to_device
from omnitrain.errors import UsageError
from omnitrain_language.objectives import model_inputs
from omnitrain_phf.configs.evaluators import ValuesConfig
from omnitrain_phf.objectives import regression_statistics
from omnitrain_phf.paper.losses import AdvantageOptions, advantage_loss, token_nll


class Values:
    """What the value head says beside the scores that come."""

    def __init__(self, config: ValuesConfig) -> None:
        self.config = config

    def check_data(self, data: Any, run: Run, /) -> None:
        """See `omnitrain.api.ChecksData`: data without scores, or without the split, is refused before training."""
        check_split(data, self.config.split)
        if "token_scores" not in data.batch:
            raise UsageError("phf/values needs data with token_scores, such as phf/scored-text.")

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Return extremes, spread and correlation over all tokens.

        Raises UsageError for a model without value head, or data without scores.
        """
        config = self.config
        model: Any = getattr(predictor, "model", None)
        if not getattr(model, "has_values", False) or "token_scores" not in getattr(data, "batch", {}):
            raise UsageError("phf/values needs a phf/causal model with value_head: {} and data with token_scores")
        device = next(model.parameters()).device
        nll, values, scores = [], [], []
        seed, most = run.seed("evaluation order"), config.max_batches
        with evaluating(model):
            for batch in in_order(data, config.split, config.batch_size, seed=seed, most=most):
                moved = to_device(batch, device)
                out = model(**model_inputs(moved), use_cache=False, with_values=True)
                real = batch["loss_weights"] != 0
                nll.append(token_nll(out.logits, moved["labels"]).cpu()[real])
                values.append(out.values.cpu()[real])
                scores.append(batch["token_scores"][real])
        told, score = torch.cat(values), torch.cat(scores)
        found = advantage_loss(torch.cat(nll), score, told, AdvantageOptions(config.beta))
        statistics = regression_statistics(found, score, torch.ones_like(score, dtype=torch.bool))
        statistics["value_avg"] = float(told.mean())
        return Evaluation({name: Metric(v, len(score)) for name, v in statistics.items() if math.isfinite(v)})


def build(config: ValuesConfig, context: Context) -> Values:
    """Make the evaluator `phf/values`."""
    return Values(config)
