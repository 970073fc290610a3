"""Scorers, segments and what is told about scores."""

import subprocess
import sys
from types import SimpleNamespace
from typing import ClassVar

import pycodestyle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from omnitrain.errors import DataError, EnvironmentFault, UsageError
from omnitrain_phf.configs.scorers import (
    CallableConfig,
    DetoxifyConfig,
    ProfanityConfig,
    PycodestyleConfig,
    ScorerConfig,
    ScrubadubConfig,
    WordListConfig,
)
from omnitrain_phf.scorers.base import segment_scores
from omnitrain_phf.scorers.contacts import contact, contact_documents
from omnitrain_phf.scorers.make import header, make_scorer
from omnitrain_phf.scorers.pep8 import Pep8Scorer
from omnitrain_phf.scorers.segments import split_by_spacy, split_lines, split_sentences

LETTERS = st.text(st.sampled_from("ab .!?\n\r\t\x0b\x0c\u2028é"), max_size=40)


@settings(deadline=None, max_examples=50)
@given(LETTERS)
def test_lines_joined_are_the_text_and_end_at_newlines_only(text):
    lines = split_lines(text)
    assert "".join(lines) == text
    assert all(line[:-1].rstrip("\r").count("\r") == 0 and line[:-1].count("\n") == 0 for line in lines)


@settings(deadline=None, max_examples=50)
@given(LETTERS)
def test_sentences_joined_are_the_text(text):
    assert "".join(split_sentences(text)) == text


PIECES = [
    *"ab.AZ1.!? \n\t\"'()—:;,-_oO<>…x3D",
    "e.g.",
    "U.S.",
    "Mr.",
    "a.m.",
    "...",
    "x.Y",
    "。",
    "(._.)",
    ":)",
    "\u00a0",
    "𑁇",
    "😀",
]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_sentences_are_those_of_spacy(text):
    assert split_sentences(text) == split_by_spacy(text)


def test_sentences_of_the_builtin_text_are_those_of_spacy():
    for _, text in contact_documents(0.1, 1200):
        assert split_sentences(text) == split_by_spacy(text)


def test_special_case_torn_by_a_blank_hides_its_neighbour_as_in_spacy():
    for text in (": x.Y goes on. (e.g. this) too.", "He wrote : x.Y", "Well (e.g. a : ) b)."):
        assert split_sentences(text) == split_by_spacy(text)
    assert split_sentences("x.Y") != [part.removeprefix(": ") for part in split_sentences(": x.Y")]


def test_users_own_pycodestyle_config_changes_nothing(tmp_path, monkeypatch):
    own = tmp_path / "pycodestyle"
    own.write_text("[pycodestyle]\nignore = E,W\nmax-line-length = 200\n")
    text = "import os, sys\nx = 1 \n"
    before = make_scorer(PycodestyleConfig()).score([text])
    monkeypatch.setattr(pycodestyle, "USER_CONFIG", str(own))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "setup.cfg").write_text("[pycodestyle]\nignore = E,W\n")
    assert make_scorer(PycodestyleConfig()).score([text]) == before
    assert before[0] > 0
    assert str(own) == pycodestyle.USER_CONFIG


def test_selected_codes_only_are_counted():
    text = "import os, sys\nx = 1 \n"
    assert make_scorer(PycodestyleConfig(select=["W2"])).score([text]) == [1 / len(text)]


def test_violation_behind_the_end_counts_on_the_last_line_or_clears_all():
    lines = split_lines("x=1\ny = (\n")
    kept = Pep8Scorer(PycodestyleConfig()).score_segments(lines)
    cleared = Pep8Scorer(PycodestyleConfig(past_end="zero")).score_segments(lines)
    assert kept[0] > 0
    assert kept[1] > 0
    assert cleared == [0.0, 0.0]


def test_empty_text_has_score_zero():
    for config in (PycodestyleConfig(), ScrubadubConfig()):
        assert make_scorer(config).score([""]) == [0.0]
        assert segment_scores(make_scorer(config), [[]]) == [[]]


def test_header_says_that_names_are_not_found_and_that_a_stand_in_scored():
    assert "named-entity" in header(ScrubadubConfig())["notes"][0]
    assert "stand-in for Detoxify" in header(ProfanityConfig())["notes"][0]
    assert header(PycodestyleConfig())["notes"] == []


def test_header_digest_changes_with_options():
    digests = {header(PycodestyleConfig(max_line_length=n))["digest"] for n in (79, 80)}
    assert len(digests) == 2


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


def test_personal_data_of_many_texts_is_that_of_each():
    scorer = make_scorer(ScrubadubConfig())
    texts = [text for _, text in contact_documents(0.5, 600)] + ["", "a@b.com and c@d.org"]
    assert scorer.score(texts) == [scorer.score([text])[0] for text in texts]
    assert scorer.score(texts) == [len(scorer.filth(text)) / len(text) if text else 0.0 for text in texts]


def test_function_of_the_users_own_scores():
    config = TypeAdapter(ScorerConfig).validate_python({"name": "callable", "function": "builtins:list"})
    with pytest.raises((DataError, ValueError)):
        make_scorer(config).score(["a"])
    with pytest.raises(UsageError, match="can't be imported"):
        make_scorer(CallableConfig(function="no.such:thing"))


def test_word_list_counts_whole_words(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("darn\nholy cow\n", "utf-8")
    scorer = make_scorer(WordListConfig(path=str(path)))
    assert scorer.score(["Darn it, darned thing", "holy cow!", ""]) == [1 / 4, 1 / 2, 0.0]
    with pytest.raises(DataError, match="can't be read"):
        make_scorer(WordListConfig(path=str(tmp_path / "none.txt")))


def test_classifier_by_path_gives_the_probability_of_its_label(tmp_path):
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    from omnitrain_phf.configs.scorers import ClassifierConfig

    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad"]))
    config = BertConfig(
        vocab_size=7,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        id2label={0: "fine", 1: "toxic"},
        label2id={"fine": 0, "toxic": 1},
    )
    BertForSequenceClassification(config).save_pretrained(tmp_path)
    BertTokenizerFast(vocab=str(vocabulary)).save_pretrained(tmp_path)
    scores = {
        label: make_scorer(ClassifierConfig(path=str(tmp_path), label=label)).score(["good bad", "bad"])
        for label in ("fine", "toxic")
    }
    assert [a + b for a, b in zip(*scores.values(), strict=True)] == pytest.approx([1.0, 1.0], rel=1e-5)
    with pytest.raises(UsageError, match="it has fine, toxic"):
        make_scorer(ClassifierConfig(path=str(tmp_path), label="rude"))


def test_every_made_up_contact_is_found_and_plain_sentences_hold_none():
    import numpy as np

    scorer = make_scorer(ScrubadubConfig())
    generator = np.random.default_rng(3)
    assert min(scorer.score([contact(generator) for _ in range(300)])) > 0
    plain = [text for _, text in contact_documents(0.0, 1200)]
    assert sum(score > 0 for score in scorer.score(plain)) <= len(plain) * 0.01


def test_scorers_are_described_without_importing_their_libraries():
    code = (
        "import sys; from omnitrain_phf.scorers.make import header; from omnitrain_phf.configs.scorers import *\n"
        "header(ScrubadubConfig()), header(ProfanityConfig()), header(PycodestyleConfig())\n"
        "print(sorted({'scrubadub', 'profanity_check', 'torch', 'spacy', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
