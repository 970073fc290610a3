"""What settings need beside the plugin is known before the run."""

from types import SimpleNamespace

import pytest

from omnitrain.errors import DataError, UsageError
from omnitrain_phf.configs.data import ScoredTextConfig
from omnitrain_phf.configs.evaluators import ClassificationConfig, CleanNllConfig, ValuesConfig
from omnitrain_phf.configs.scorers import DetoxifyConfig
from omnitrain_phf.configs.stages import ScoreConfig
from omnitrain_phf.evaluators.clean_nll import CleanNll
from omnitrain_phf.evaluators.values import Values


def test_settings_tell_the_extra_that_they_need():
    parquet = {"pyarrow": "omnitrain-phf[parquet]"}
    assert ScoredTextConfig(path="hub:owner/name").needs() == {"datasets": "omnitrain-phf[hub]"}
    assert ScoredTextConfig(path="a.parquet").needs() == ScoreConfig(path="a.parquet").needs() == parquet
    assert ClassificationConfig(path="a.parquet").needs() == parquet
    assert ClassificationConfig().needs() == ScoreConfig().needs() == ScoredTextConfig(score=ScoreConfig()).needs() == {}
    assert DetoxifyConfig().needs() == {"detoxify": "omnitrain-phf[detoxify]"}


@pytest.mark.parametrize("evaluator", [CleanNll(CleanNllConfig()), Values(ValuesConfig())])
def test_evaluator_refuses_data_without_its_split_or_scores(evaluator):
    with pytest.raises(DataError, match="no split 'valid', only 'train'"):
        evaluator.check_data(SimpleNamespace(splits=lambda: ["train"], batch={"token_scores": "float[batch, length]"}))
    with pytest.raises(UsageError, match="needs data with token_scores"):
        evaluator.check_data(SimpleNamespace(splits=lambda: ["train", "valid"], batch={}))
