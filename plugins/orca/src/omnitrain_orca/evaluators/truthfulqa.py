"""Evaluator `orca/truthfulqa`."""

from __future__ import annotations

from typing import Any

from omnitrain.api import Context, Evaluation, Run, mean_metric
from omnitrain_orca.configs.evaluators import TruthfulqaConfig
from omnitrain_orca.exams.truthfulqa import option_log_probs, read_truthfulqa
from omnitrain_orca.paper.truthfulqa import mc1, mc2


class Truthfulqa:
    """mc1 and mc2 by summed log-probabilities of the options."""

    def __init__(self, config: TruthfulqaConfig) -> None:
        self.config = config

    def check_data(self, data: Any, run: Run, /) -> None:
        """See `omnitrain.api.ChecksData`: the file is read."""
        read_truthfulqa(self.config.path)

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Score every option. Raises UsageError for a model without log-probabilities."""
        choices = read_truthfulqa(self.config.path)[: self.config.questions]
        pairs = [(c.question, text) for c in choices for options in (c.mc1, c.mc2) for text in options.texts]
        log_probs = iter(option_log_probs(predictor, pairs, self.config))
        first, share = [], []
        for choice in choices:
            first.append(mc1([next(log_probs) for _ in choice.mc1.texts], choice.mc1.labels))
            share.append(mc2([next(log_probs) for _ in choice.mc2.texts], choice.mc2.labels))
        return Evaluation({"mc1": mean_metric(first, "higher"), "mc2": mean_metric(share, "higher")})


def build(config: TruthfulqaConfig, context: Context) -> Truthfulqa:
    """Make the evaluator `orca/truthfulqa`."""
    return Truthfulqa(config)
