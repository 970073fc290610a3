"""What an evaluator can't measure on is said before the run."""

from types import SimpleNamespace

import pytest

from omnitrain.errors import DataError, UsageError
from omnitrain_lae.configs.evaluators import AccuracyConfig
from omnitrain_lae.evaluators.accuracy import Accuracy


def test_evaluator_refuses_data_without_its_split_or_labels():
    with pytest.raises(UsageError, match="give the stage a setting data"):
        Accuracy(AccuracyConfig()).check_data(None)
    with pytest.raises(DataError, match="no split 'test', only 'train'"):
        Accuracy(AccuracyConfig(split="test")).check_data(SimpleNamespace(splits=lambda: ["train"], batch={"labels": ""}))
    with pytest.raises(UsageError, match="needs data with labels"):
        Accuracy(AccuracyConfig(split="test")).check_data(SimpleNamespace(splits=lambda: ["test"], batch={}))
