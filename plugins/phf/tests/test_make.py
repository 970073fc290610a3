"""From settings to scorers: what is empty scores 0, and headers tell versions and caveats."""

import subprocess
import sys

import pytest
from pydantic import TypeAdapter

from omnitrain.errors import DataError, UsageError
from omnitrain_phf.configs.scorers import (
    CallableConfig,
    ClassifierConfig,
    ProfanityConfig,
    PycodestyleConfig,
    ScorerConfig,
    ScrubadubConfig,
)
from omnitrain_phf.scorers.base import segment_scores
from omnitrain_phf.scorers.make import header, make_scorer


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


def test_header_digest_changes_with_the_source_of_a_function_and_the_files_of_a_model(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("OMNITRAIN_CACHE", str(tmp_path / "cache"))
    model, source = tmp_path / "model", tmp_path / "own_words.py"
    model.mkdir()
    digests = []
    for content in ("return 0", "return 1"):
        source.write_text(f"def score(texts):\n    {content}\n")
        (model / "config.json").write_text(content)
        configs = CallableConfig(function="own_words:score"), ClassifierConfig(path=str(model), label="bad")
        digests += [header(config)["digest"] for config in configs]
    assert len(set(digests)) == 4
    assert "inputs" not in header(ClassifierConfig(path="owner/name", label="bad"))


def test_function_of_the_users_own_scores():
    config = TypeAdapter(ScorerConfig).validate_python({"name": "callable", "function": "builtins:list"})
    with pytest.raises((DataError, ValueError)):
        make_scorer(config).score(["a"])
    with pytest.raises(UsageError, match="can't be imported"):
        make_scorer(CallableConfig(function="no.such:thing"))


def test_scorers_are_described_without_importing_their_libraries():
    code = (
        "import sys; from omnitrain_phf.scorers.make import header; from omnitrain_phf.configs.scorers import *\n"
        "header(ScrubadubConfig()), header(ProfanityConfig()), header(PycodestyleConfig())\n"
        "print(sorted({'scrubadub', 'profanity_check', 'torch', 'spacy', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
