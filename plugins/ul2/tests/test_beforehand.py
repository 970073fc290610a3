"""What an evaluator of a later stage can't measure is said before the first stage trains."""

from types import SimpleNamespace

import pytest

from omnitrain.api import ChecksData
from omnitrain.errors import DataError, UsageError
from omnitrain_ul2.configs.evaluators import CrossDenoisingConfig, SamplesConfig
from omnitrain_ul2.data.denoising import DenoisingData
from omnitrain_ul2.evaluators.cross_denoising import CrossDenoising
from omnitrain_ul2.evaluators.samples import ModeSamples


def test_other_data_and_too_few_sentinels_are_refused():
    evaluator = CrossDenoising(CrossDenoisingConfig())
    assert isinstance(evaluator, ChecksData)
    with pytest.raises(UsageError, match="ul2/cross-denoising measures on ul2/denoising data"):
        evaluator.check_data(SimpleNamespace())

    def plan(denoisers, mode):
        raise UsageError("This mixture needs 15 sentinels in one example, but the vocabulary has 3")

    data = DenoisingData.__new__(DenoisingData)
    data._corrupter = SimpleNamespace(plan=plan, table=None)
    with pytest.raises(UsageError, match="needs 15 sentinels"):
        evaluator.check_data(data)


def test_samples_refuse_a_split_that_is_not_there_and_too_few_sentinels():
    def plan(denoisers):
        raise UsageError("This mixture needs 15 sentinels in one example, but the vocabulary has 3")

    data = DenoisingData.__new__(DenoisingData)
    data._corrupter, data.text = SimpleNamespace(plan=plan), SimpleNamespace(splits=lambda: ["train"])
    with pytest.raises(DataError, match="no split 'valid', only 'train'"):
        ModeSamples(SamplesConfig()).check_data(data)
    with pytest.raises(UsageError, match="needs 15 sentinels"):
        ModeSamples(SamplesConfig(split="train")).check_data(data)
