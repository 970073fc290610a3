"""Metrics and packing beyond the golden vectors."""

import numpy as np
import pytest

from omnitrain.errors import DataError
from omnitrain_ul2.evaluators.t5_metrics import accuracy, mean_multiclass_f1, rouge, squad
from omnitrain_ul2.evidence.t5_packing import draw_split_points, pack_decoder_only, pack_encoder_decoder


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


def test_packing_of_many_rows_equals_one_by_one():
    generator = np.random.default_rng(0)
    first, second = generator.integers(0, 50, (2, 20, 9))
    splits = draw_split_points(20, 9, generator)
    decoder = pack_decoder_only(first, splits)
    both = pack_encoder_decoder(first, second, splits)
    for row in range(20):
        one = slice(row, row + 1)
        assert (pack_decoder_only(first[one], splits[one]).loss_weights[0] == decoder.loss_weights[row]).all()
        single = pack_encoder_decoder(first[one], second[one], splits[one])
        assert (single.decoder_input_tokens[0] == both.decoder_input_tokens[row]).all()
        assert (single.encoder_input_tokens[0] == both.encoder_input_tokens[row]).all()


def test_packing_refuses_splits_outside_the_row():
    with pytest.raises(DataError, match=r"must lie in \[1, 4\)"):
        pack_decoder_only(np.ones((1, 4), int), [4])
    with pytest.raises(DataError, match="use at least 2"):
        draw_split_points(3, 1, np.random.default_rng(0))
