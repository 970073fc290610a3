"""Toxicity: Detoxify by a stand-in for its library, and the word list."""

import sys
from types import SimpleNamespace
from typing import ClassVar

import pytest

from omnitrain.errors import DataError, EnvironmentFault
from omnitrain_phf.configs.scorers import (
    DetoxifyConfig,
    WordListConfig,
)
from omnitrain_phf.scorers.base import segment_scores
from omnitrain_phf.scorers.make import header, make_scorer
from omnitrain_phf.scorers.toxicity import read_words


def test_missing_library_is_named_with_its_command():
    with pytest.raises(EnvironmentFault, match=r"pip install 'omnitrain-phf\[detoxify\]'"):
        make_scorer(DetoxifyConfig())


class StandIn:
    """Answers as Detoxify does: lists of probabilities by label."""

    made: ClassVar[list[tuple[str, str]]] = []

    def __init__(self, variant, device):
        self.made.append((variant, device))

    def predict(self, texts):
        assert len(texts) <= 2
        return {"toxicity": [len(text) / 100 for text in texts], "insult": [1.0] * len(texts)}


def test_detoxify_is_imported_when_asked_for_and_scores_in_batches(monkeypatch):
    monkeypatch.setitem(sys.modules, "detoxify", SimpleNamespace(Detoxify=StandIn))
    scorer = make_scorer(DetoxifyConfig(variant="unbiased", batch_size=2))
    assert StandIn.made == [("unbiased", "cpu")]
    assert scorer.score(["a", "bb", "ccc"]) == [0.01, 0.02, 0.03]
    assert segment_scores(scorer, [[], ["a"]]) == [[], [0.01]]


def test_header_of_detoxify_tells_its_version_and_variant(monkeypatch):
    monkeypatch.setattr("omnitrain_phf.scorers.base.version", lambda name: {"detoxify": "0.5.9"}[name])
    told = header(DetoxifyConfig(variant="unbiased"))
    assert told["versions"] == {"detoxify": "0.5.9"}
    assert told["options"]["variant"] == "unbiased"
    assert told["notes"] == []
    assert told["digest"] != header(DetoxifyConfig(variant="original"))["digest"]


def test_word_list_counts_whole_words(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("darn\nholy cow\n", "utf-8")
    scorer = make_scorer(WordListConfig(path=str(path)))
    assert scorer.score(["Darn it, darned thing", "holy cow!", ""]) == [1 / 4, 1 / 2, 0.0]
    with pytest.raises(DataError, match=r"scorer.path: .*none.txt is not there; expected a text file"):
        make_scorer(WordListConfig(path=str(tmp_path / "none.txt")))


def test_entries_of_a_word_list_end_at_line_ends_only(tmp_path):
    (tmp_path / "words.txt").write_bytes("\ufeffbad\r\nvery\u2028bad\x0cword\n".encode())
    assert read_words(str(tmp_path / "words.txt")) == ["very\u2028bad\x0cword", "bad"]
