"""What an evaluator can't measure on is said before the run."""

from types import SimpleNamespace

import pytest

from omnitrain.api import UseData, UseModel
from omnitrain.engine import scratch_run
from omnitrain.errors import DataError, UsageError
from omnitrain_lae.configs.evaluators import AccuracyConfig
from omnitrain_lae.configs.stages import ContinualConfig
from omnitrain_lae.evaluators.accuracy import Accuracy
from omnitrain_lae.stages.continual import continual


def test_evaluator_refuses_data_without_its_split_or_labels():
    with pytest.raises(UsageError, match="give the stage a setting data"):
        Accuracy(AccuracyConfig()).check_data(None, None)
    with pytest.raises(DataError, match="no split 'test', only 'train'"):
        Accuracy(AccuracyConfig(split="test")).check_data(SimpleNamespace(splits=lambda: ["train"], batch={"labels": ""}), None)
    with pytest.raises(UsageError, match="needs data with labels"):
        Accuracy(AccuracyConfig(split="test")).check_data(SimpleNamespace(splits=lambda: ["test"], batch={}), None)


def test_data_without_tasks_is_refused_before_the_run():
    config = ContinualConfig(data=UseData(use="lae/images"), model=UseModel(use="lae/vision"))
    with (
        scratch_run(build=lambda use, facts: object()) as run,
        pytest.raises(UsageError, match="data: it has no tasks; wrap it"),
    ):
        continual.plan(config, run)
