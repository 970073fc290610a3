"""What settings need beside the plugin is known before the run."""

import pytest

from omnitrain.api import UseData
from omnitrain.engine import scratch_run
from omnitrain.errors import DataError, UsageError
from omnitrain_vpt.configs.evaluators import ActionsConfig, LikelihoodConfig
from omnitrain_vpt.configs.stages import CleanConfig
from omnitrain_vpt.data.recordings import StreamedRecordings, WindowedRecordings
from omnitrain_vpt.evaluators.actions import ActionsEvaluator
from omnitrain_vpt.evaluators.likelihood import LikelihoodEvaluator
from omnitrain_vpt.stages.clean import clean


def test_settings_tell_the_extra_that_they_need():
    video = {"data": UseData(use="vpt/recordings"), "clean": UseData(use="vpt/recordings")}
    assert CleanConfig(**video, embedding="a/clip").needs() == {"transformers": "omnitrain-vpt[clip]"}
    assert CleanConfig(**video).needs() == {}


@pytest.mark.parametrize(
    ("evaluator", "right", "wrong"),
    [
        (ActionsEvaluator(ActionsConfig()), WindowedRecordings, StreamedRecordings),
        (LikelihoodEvaluator(LikelihoodConfig()), StreamedRecordings, WindowedRecordings),
    ],
)
def test_evaluator_refuses_the_other_layout_and_a_split_without_recordings(evaluator, right, wrong):
    with pytest.raises(UsageError, match="in the layout"):
        evaluator.check_data(wrong.__new__(wrong), None)
    data = right.__new__(right)
    data._by_split = {"train": [0]}
    with pytest.raises(DataError, match="no split 'valid', only 'train'"):
        evaluator.check_data(data, None)


def test_cleaning_refuses_other_data_before_the_run():
    config = CleanConfig(data=UseData(use="vpt/recordings"), clean=UseData(use="language/text"))
    with (
        scratch_run(build=lambda use, facts: object()) as run,
        pytest.raises(UsageError, match="reads vpt/recordings, not obj"),
    ):
        clean.plan(config, run)
