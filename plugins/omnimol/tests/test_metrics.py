"""Where honest metrics differ from those of the paper's code."""

import pytest

from omnitrain.errors import EnvironmentFault
from omnitrain_omnimol.paper.metrics.molecules import molecule_metrics
from omnitrain_omnimol.paper.metrics.numbers import determination, extracted_error, first_number
from omnitrain_omnimol.paper.metrics.pairs import Pair
from omnitrain_omnimol.paper.metrics.words import procedure_metrics, text_metrics, wordnet


def test_numbers_have_signs_and_formulas_are_none():
    pair = [Pair("", "-1.3", "It is −1.0 for C6H6<|eot_id|>9")]
    assert extracted_error(pair)["mae"] == pytest.approx(0.3)
    assert extracted_error([Pair("", "-1.3", "1.3")], official=True)["Average MAE"] == 0
    assert extracted_error([Pair("", "-1.3", "1.3")])["mae"] == pytest.approx(2.6)
    assert first_number("C6H6 has 0.5") == 0.5
    assert first_number("C6H6 has 0.5", official=True) == 6
    assert first_number("none") is None


def test_skipped_yields_are_told():
    found = determination([Pair("", "0.1", "0.2"), Pair("", "0.9", "0.8"), Pair("", "0.5", "high")])
    assert found["unread_share"] == pytest.approx(1 / 3)
    assert found["r2"] == pytest.approx(1 - 0.02 / 0.32)


def test_empty_and_plain_predictions_are_invalid():
    pairs = [Pair("", "[C][O]", ""), Pair("", "[C][O]", "CO"), Pair("", "[C][O]", "[O][C]")]
    assert molecule_metrics(pairs)["validity"] == pytest.approx(1 / 3)
    assert molecule_metrics(pairs)["exact_all"] == pytest.approx(1 / 3)
    assert molecule_metrics(pairs)["exact_valid"] == 1
    assert molecule_metrics(pairs, official=True)["validity"] == 1


def test_exact_match_with_stereo_tells_enantiomers_apart():
    pair = [Pair("", "[C][C@H1][Branch1][C][N][C][=Branch1][C][=O][O]", "[C][C@@H1][Branch1][C][N][C][=Branch1][C][=O][O]")]
    assert molecule_metrics(pair)["exact_all"] == 1
    assert molecule_metrics(pair)["exact_stereo_all"] == 0


def test_procedures_are_compared_token_by_token():
    pair = [Pair("", "ADD $1$ ; STIR ; YIELD $-1$", "ADD $2$ ; STIR ; YIELD $-1$<|eot_id|>")]
    found = procedure_metrics(pair)
    assert (found["validity"], found["accuracy_100"], found["accuracy_75"]) == (1, 0, 1)
    assert procedure_metrics(pair, official=True)["Accuracy (75)"] == 0


def test_meteor_needs_its_dictionary(tmp_path):
    assert "meteor" not in text_metrics([Pair("", "a b", "a b")])
    with pytest.raises(EnvironmentFault, match="METEOR needs WordNet"):
        wordnet(str(tmp_path))
