"""What the evaluators can't measure is said before anything is trained."""

import json

import pytest

from omnitrain.api import ChecksData
from omnitrain.cli.failures import guarded
from omnitrain.errors import DataError, UsageError
from omnitrain_language.configs.data import PairsConfig, TextConfig
from omnitrain_language.configs.evaluators import NllEvaluatorConfig, SamplesConfig
from omnitrain_language.evaluators import NllEvaluator, SamplesEvaluator


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
        evaluator.check_data(Splits(*splits), None)
    evaluator.check_data(Splits("train", "valid"), None)


def test_tokens_that_cannot_be_counted_are_refused():
    with pytest.raises(UsageError, match="unigram: this data does not count its tokens"):
        NllEvaluator(NllEvaluatorConfig(unigram=True)).check_data(Splits("train", "valid"), None)


def test_library_that_a_later_stage_reads_its_text_with_is_refused_before_the_first_trains(tmp_path, capsys, monkeypatch):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/a.PARQUET").write_bytes(b"")
    monkeypatch.setattr("omnitrain.engine.beforehand.find_spec", lambda name: None)
    for path, sentence in (
        ("hub:owner/name", "needs datasets, which is not installed: pip install 'omnitrain-language[hub]'"),
        (str(tmp_path / "texts"), "needs pyarrow, which is not installed: pip install 'omnitrain-language[parquet]'"),
    ):
        data = {"use": "language/blocks", "text": {"use": "language/text", "path": path}}
        fit = {"use": "core/fit", "model": {"use": "language/causal"}, "objective": "language/causal-nll", "fit": {"steps": 1}}
        stages = [{"name": "first", "data": {"use": "language/blocks"}, **fit}, {"name": "later", "data": data, **fit}]
        (tmp_path / "r.yaml").write_text(json.dumps({"summary": "A test.", "stages": stages}))
        assert guarded(["run", str(tmp_path / "r.yaml"), "--out", str(tmp_path / "run"), "--quiet"]) == 5
        assert f"later.data.text {sentence}" in capsys.readouterr().err


def test_parquet_in_a_linked_folder_or_behind_a_pattern_needs_its_library(tmp_path):
    for folder in ("elsewhere", "data"):
        (tmp_path / folder).mkdir()
    (tmp_path / "elsewhere/a.parquet").write_bytes(b"")
    (tmp_path / "data/linked").symlink_to(tmp_path / "elsewhere")
    for path in ("data", "elsewhere/*", "data/*/*"):
        assert TextConfig(path=str(tmp_path / path)).needs() == {"pyarrow": "omnitrain-language[parquet]"}
    assert TextConfig(path=str(tmp_path / "data/*")).needs() == {}


def test_files_that_need_no_library_are_not_refused(tmp_path):
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden/a.parquet").write_bytes(b"")
    for path in ("builtin", "a.txt", str(tmp_path), str(tmp_path / "none")):
        assert TextConfig(path=path).needs() == {}
    assert PairsConfig(path="a.tsv", test_path="*.parquet").needs() == {"pyarrow": "omnitrain-language[parquet]"}


def test_prompts_cut_from_a_split_that_is_not_there_are_refused():
    with pytest.raises(DataError, match="no split 'valid', only 'train'"):
        SamplesEvaluator(SamplesConfig()).check_data(Splits("train"), None)
    SamplesEvaluator(SamplesConfig(prompts=["a"])).check_data(None, None)
