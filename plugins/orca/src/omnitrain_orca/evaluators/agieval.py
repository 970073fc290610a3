"""Evaluator `orca/agieval`."""

from __future__ import annotations

from typing import Any

from omnitrain.api import Context, Evaluation, Run
from omnitrain_orca.configs.evaluators import AgievalConfig
from omnitrain_orca.exams.agieval import PARSERS, read_agieval
from omnitrain_orca.exams.sitting import sit


class Agieval:
    """Accuracy on the tasks that the folder holds, by the exam's own parser and by a tolerant one."""

    def __init__(self, config: AgievalConfig) -> None:
        self.config = config

    def check_data(self, data: Any, run: Run, /) -> None:
        """See `omnitrain.api.ChecksData`: the files are read."""
        read_agieval(self.config.path)

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Ask and score. Raises UsageError for a model that can't write."""
        return sit(predictor, read_agieval(self.config.path), PARSERS, self.config, "orca/agieval")


def build(config: AgievalConfig, context: Context) -> Agieval:
    """Make the evaluator `orca/agieval`."""
    return Agieval(config)
