"""What settings need beside the plugin is known before the run."""

from omnitrain_phf.configs.data import ScoredTextConfig
from omnitrain_phf.configs.evaluators import ClassificationConfig
from omnitrain_phf.configs.scorers import DetoxifyConfig
from omnitrain_phf.configs.stages import ScoreConfig


def test_settings_tell_the_extra_that_they_need():
    parquet = {"pyarrow": "omnitrain-phf[parquet]"}
    assert ScoredTextConfig(path="hub:owner/name").needs() == {"datasets": "omnitrain-phf[hub]"}
    assert ScoredTextConfig(path="a.parquet").needs() == ScoreConfig(path="a.parquet").needs() == parquet
    assert ClassificationConfig(path="a.parquet").needs() == parquet
    assert ClassificationConfig().needs() == ScoreConfig().needs() == ScoredTextConfig(score=ScoreConfig()).needs() == {}
    assert DetoxifyConfig().needs() == {"detoxify": "omnitrain-phf[detoxify]"}
