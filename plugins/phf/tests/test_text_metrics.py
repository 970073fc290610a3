"""Metrics of texts and programs against numbers by hand."""

import pytest

from omnitrain.errors import UsageError
from omnitrain_phf.paper.text_metrics import max_at_k, pass_at_k, score_per_character, self_bleu


def test_pass_at_k_is_the_chance_of_drawing_a_right_one():
    assert pass_at_k(4, 1, 1) == 0.25
    assert pass_at_k(4, 2, 2) == pytest.approx(1 - 1 / 6)
    assert pass_at_k(10, 0, 5) == 0
    with pytest.raises(UsageError, match="at least 5 samples"):
        pass_at_k(4, 1, 5)


def test_metrics_of_texts():
    assert max_at_k([1, 2, 3, 4], 2) == 3.5
    assert score_per_character([0.5, 0.0], ["ab", "abcdefgh"]) == 0.1
    assert self_bleu(["the same words here"] * 3) == pytest.approx(1.0)
    assert self_bleu(["one two three four five six"] * 2, unit="words") == pytest.approx(1.0)
