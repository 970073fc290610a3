"""Metrics beyond the golden vectors."""

import pytest

from omnitrain.errors import DataError
from omnitrain_ul2.evaluators.t5_metrics import accuracy, mean_multiclass_f1, rouge, squad


def test_rouge_lsum_takes_the_union_over_sentences():
    # "w1 w2" from one sentence and "w1 w3 w5" from the other: 4 of 5 words (Lin 2004, section 3.2).
    scores = rouge(["w1 w2 w3 w4 w5"], ["w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5"])
    assert scores["rougeLsum"] == pytest.approx(100 * 2 * 4 / (5 + 10))


def test_rouge_of_empty_predictions_is_zero():
    assert rouge(["a b"], [""]) == {"rouge1": 0.0, "rouge2": 0.0, "rougeLsum": 0.0}


def test_squad_ignores_articles_and_scores_empty_predictions_zero():
    assert squad([["the end"]], ["End."]) == {"em": 100.0, "f1": 100.0}
    assert squad([["x"]], [""]) == {"em": 0.0, "f1": 0.0}


def test_absent_classes_count_as_zero():
    assert mean_multiclass_f1([0, 0], [0, 0], 2) == {"mean_2class_f1": 50.0}


def test_metrics_refuse_missing_predictions():
    with pytest.raises(DataError, match="2 targets and 1 predictions"):
        accuracy(["a", "b"], ["a"])
    with pytest.raises(DataError, match="0 targets"):
        accuracy([], [])
