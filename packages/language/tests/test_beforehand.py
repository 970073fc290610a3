"""What the evaluators can't measure is said before anything is trained."""

import pytest

from omnitrain.api import ChecksData
from omnitrain.errors import DataError, UsageError
from omnitrain_language.configs.evaluators import NllEvaluatorConfig
from omnitrain_language.evaluators import NllEvaluator


class Splits:
    """Data of which only the splits are known."""

    def __init__(self, *names):
        self.splits = lambda: list(names)


@pytest.mark.parametrize(
    ("settings", "splits", "sentence"),
    [
        ({}, ["train"], "the data has nothing to score beside the split 'train', only 'train'; set valid_fraction"),
        ({"splits": ["valid"]}, ["train"], "the data has no split 'valid', only 'train'; set valid_fraction"),
    ],
)
def test_split_that_is_not_there_is_refused(settings, splits, sentence):
    evaluator = NllEvaluator(NllEvaluatorConfig(unigram=False, **settings))
    assert isinstance(evaluator, ChecksData)
    with pytest.raises(DataError, match=sentence):
        evaluator.check_data(Splits(*splits))
    evaluator.check_data(Splits("train", "valid"))


def test_tokens_that_cannot_be_counted_are_refused():
    with pytest.raises(UsageError, match="unigram: this data does not count its tokens"):
        NllEvaluator(NllEvaluatorConfig(unigram=True)).check_data(Splits("train", "valid"))
