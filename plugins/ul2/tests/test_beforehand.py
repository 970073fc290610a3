"""What an evaluator of a later stage can't measure is said before the first stage trains."""

from types import SimpleNamespace

import pytest

from omnitrain.api import ChecksData
from omnitrain.engine import scratch_run
from omnitrain.errors import DataError, UsageError
from omnitrain_language.configs.data import PairsConfig
from omnitrain_language.data.pairs import PairsData
from omnitrain_ul2.configs.evaluators import CrossDenoisingConfig, SamplesConfig, TasksConfig
from omnitrain_ul2.configs.stages import GainsConfig
from omnitrain_ul2.data.denoising import DenoisingData
from omnitrain_ul2.evaluators.cross_denoising import CrossDenoising
from omnitrain_ul2.evaluators.samples import ModeSamples
from omnitrain_ul2.evaluators.tasks import Tasks
from omnitrain_ul2.stages.gains import gains


def test_other_data_and_too_few_sentinels_are_refused():
    evaluator = CrossDenoising(CrossDenoisingConfig())
    assert isinstance(evaluator, ChecksData)
    with pytest.raises(UsageError, match="ul2/cross-denoising measures on ul2/denoising data"):
        evaluator.check_data(SimpleNamespace(), None)

    def plan(denoisers, mode):
        raise UsageError("This mixture needs 15 sentinels in one example, but the vocabulary has 3")

    data = DenoisingData.__new__(DenoisingData)
    data._corrupter, data.text = SimpleNamespace(plan=plan, table=None), SimpleNamespace(splits=lambda: ["train", "valid"])
    with pytest.raises(UsageError, match="needs 15 sentinels"):
        evaluator.check_data(data, None)


def test_samples_refuse_a_split_that_is_not_there_and_too_few_sentinels():
    def plan(denoisers):
        raise UsageError("This mixture needs 15 sentinels in one example, but the vocabulary has 3")

    data = DenoisingData.__new__(DenoisingData)
    data._corrupter, data.text = SimpleNamespace(plan=plan), SimpleNamespace(splits=lambda: ["train"])
    with pytest.raises(DataError, match="no split 'valid', only 'train'"):
        ModeSamples(SamplesConfig()).check_data(data, None)
    with pytest.raises(UsageError, match="needs 15 sentinels"):
        ModeSamples(SamplesConfig(split="train")).check_data(data, None)


def test_held_out_loss_refuses_data_without_its_split_by_the_setting():
    data = DenoisingData.__new__(DenoisingData)
    data._corrupter, data.text = SimpleNamespace(), SimpleNamespace(splits=lambda: ["train"])
    with pytest.raises(DataError, match=r"no split 'valid', only 'train'; set the data's share of it \(such as valid_fraction"):
        CrossDenoising(CrossDenoisingConfig()).check_data(data, None)


def test_data_of_tasks_is_looked_at(tmp_path):
    (tmp_path / "sums.tsv").write_text("inputs\ttargets\n1 + 1\t2\n")
    pairs = PairsData(PairsConfig(path=str(tmp_path / "sums.tsv"), valid_fraction=0), None)
    task = {"data": {"use": "language/pairs"}, "split": "test", "metrics": ["accuracy"]}
    compared = {"tasks": {"sums": task}, "anchors": ["a"], "arms": {name: {"model": {"from": name}} for name in "ab"}}
    for found, error, sentence in (
        (pairs, DataError, "tasks.sums: the data has no split 'test', only 'train'"),
        (object(), UsageError, "tasks.sums.data: expected language/pairs"),
    ):
        with scratch_run(build=lambda use, facts, found=found: found) as run:
            with pytest.raises(error, match=sentence):
                Tasks(TasksConfig.model_validate({"tasks": {"sums": task}})).check_data(None, run)
            with pytest.raises(error, match=sentence):
                gains.plan(GainsConfig.model_validate(compared), run)
