"""Evaluator `orca/bbh`."""

from __future__ import annotations

from typing import Any

from omnitrain.api import Context, Evaluation, Run
from omnitrain_orca.configs.evaluators import BbhConfig
from omnitrain_orca.exams.bbh import PARSERS, read_bbh
from omnitrain_orca.exams.sitting import sit


class Bbh:
    """Accuracy on the tasks that the folder holds, by the exam's own parser and by a tolerant one."""

    def __init__(self, config: BbhConfig) -> None:
        self.config = config

    def check_data(self, data: Any, run: Run, /) -> None:
        """See `omnitrain.api.ChecksData`: the files are read."""
        read_bbh(self.config.path)

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Ask and score. Raises UsageError for a model that can't write."""
        return sit(predictor, read_bbh(self.config.path, run.say), PARSERS, self.config, "orca/bbh")


def build(config: BbhConfig, context: Context) -> Bbh:
    """Make the evaluator `orca/bbh`."""
    return Bbh(config)
