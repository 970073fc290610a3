"""Stage `language/generate`: a data set of prompts becomes texts, the same ones when it was killed in between."""

import json

import pytest
from bart import write_bart

from omnitrain.errors import DataError, UsageError
from omnitrain_language.predictor import LanguagePredictor
from omnitrain_language.writing import Writing
from omnitrain_testing.running import dry_run, run_recipe
from omnitrain_testing.tokenizers import WORDS, make_model


class Ended(BaseException):
    """Nothing that a run could handle."""


@pytest.fixture
def prompts(tmp_path, monkeypatch):
    monkeypatch.setenv("OMNITRAIN_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "prompts.jsonl"
    rows = [{"prompt": " ".join(WORDS[: 1 + i * 5 % 7]) + f" {i}", "id": f"q{i}"} for i in range(11)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def recipe(prompts, folder, kind="causal", **settings):
    given = {"path": str(prompts), "max_new_tokens": 5, "batch_size": 3, **settings}
    stage = {"name": "write", "use": "language/generate", "model": {"use": f"language/{kind}", "path": str(folder)}, **given}
    return {"summary": "Write.", "seed": 1, "stages": [stage]}


def written(run):
    return (run / "write" / "texts" / "texts.jsonl").read_bytes()


def test_texts_come_in_the_order_of_the_prompts_and_a_killed_job_ends_with_the_same_bytes(tmp_path, prompts, monkeypatch):
    make_model("byte-bpe", tmp_path / "model")
    made = recipe(prompts, tmp_path / "model", temperature=1.3, samples=2, keep=["id"], skip_special_tokens=False)
    run_recipe(made, tmp_path / "whole")
    records = [json.loads(line) for line in written(tmp_path / "whole").splitlines()]
    assert [record["id"] for record in records] == [f"q{i // 2}" for i in range(22)]
    assert [record["sample"] for record in records] == [0, 1] * 11
    assert set(records[0]) == {"prompt", "id", "text", "sample"}
    calls, write = [], Writing.write

    def ends(self, rows, places, **more):
        calls.append(list(places))
        if len(calls) == 3:
            raise Ended
        return write(self, rows, places, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Writing, "write", ends)
        with pytest.raises(Ended):
            run_recipe(made, tmp_path / "killed")
        run_recipe(made, tmp_path / "killed")
    assert len(calls) == 5
    assert calls[2] == calls[3]
    assert written(tmp_path / "killed") == written(tmp_path / "whole")


def test_texts_are_those_of_the_predictor_and_pairs_read_them(tmp_path, prompts, monkeypatch):
    write_bart(tmp_path / "model", num_beams=2)
    made = recipe(prompts, tmp_path / "model", "t5", min_new_tokens=2)
    fit = {"steps": 1, "batch_size": 2, "learning_rate": 1e-3, "evaluate_batches": 1}
    later = {
        "name": "train",
        "use": "core/fit",
        "data": {"from": "write/texts", "malformed": "skip", "valid_fraction": 0.5},
        "fit": fit,
    }
    model = {"use": "language/t5", "path": str(tmp_path / "model")}
    made["stages"].append({**later, "model": model, "objective": "language/seq2seq-nll"})
    seen, settings = [], LanguagePredictor.settings
    monkeypatch.setattr(
        LanguagePredictor, "settings", lambda self, *args, **asked: seen.append(settings(self, *args, **asked)) or seen[-1]
    )
    run_recipe(made, tmp_path / "run")
    assert seen[0].num_beams == 2
    table = json.loads(next((tmp_path / "run" / "write").rglob("texts*.json")).read_text("utf-8"))
    assert ["num_beams", "2", "the model"] in json.loads(json.dumps(table))["tables"]["settings"]["rows"]


def test_what_the_model_brings_is_told_before_the_run(tmp_path, prompts):
    write_bart(tmp_path / "model", num_beams=4, no_repeat_ngram_size=3)
    told = str(dry_run(recipe(prompts, tmp_path / "model", "t5", num_beams=2)).stages)
    assert "11 prompts" in told
    assert "no_repeat_ngram_size 3" in told
    assert "num_beams 4" not in told


def test_settings_and_prompts_that_cannot_be_are_refused(tmp_path, prompts):
    make_model("byte-bpe", tmp_path / "model")
    for settings, sentence in (
        ({"data": {"use": "language/pairs", "path": "builtin:kinds"}}, "set either path or data"),
        ({"keep": ["text"]}, "keep may not name text"),
        ({"stop": [""]}, "at least 1 character"),
    ):
        with pytest.raises(UsageError, match=sentence):
            run_recipe(recipe(prompts, tmp_path / "model", **settings), tmp_path / "run")
    with pytest.raises(DataError, match=r"prompts.jsonl:1: no field 'question'"):
        run_recipe(recipe(prompts, tmp_path / "model", field="question"), tmp_path / "run")
    with pytest.raises(UsageError, match="samples 2 of a prompt would be equal"):
        run_recipe(recipe(prompts, tmp_path / "model", samples=2), tmp_path / "second")


def test_inputs_of_pairs_are_prompts_and_their_targets_are_kept(tmp_path, prompts):
    make_model("byte-bpe", tmp_path / "model")
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps({"inputs": f"a {w}", "targets": w}) + "\n" for w in WORDS), "utf-8")
    data = {"use": "language/pairs", "path": str(path), "valid_path": str(path)}
    made = recipe(prompts, tmp_path / "model", data=data)
    del made["stages"][0]["path"]
    run_recipe(made, tmp_path / "run")
    records = [json.loads(line) for line in written(tmp_path / "run").splitlines()]
    assert [record["targets"] for record in records] == WORDS
    assert records[0]["prompt"] == f"a {WORDS[0]}"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"num_beams": 3, "temperature": 1.0}, "num_beams 3 searches and temperature 1 draws"),
        ({"num_beams": 2, "samples": 3}, "samples 3 of a prompt would be equal"),
        ({"temperature": 0, "samples": 2}, "samples 2 of a prompt would be equal"),
        ({"min_new_tokens": 6}, "min_new_tokens 6 is above max_new_tokens 5"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_before_any_stage(tmp_path, prompts, settings, words):
    with pytest.raises(UsageError, match=words):
        dry_run(recipe(prompts, tmp_path / "never-made", **settings))
