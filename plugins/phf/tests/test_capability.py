"""Capabilities behind the evaluators' interface: last words, fine-tuning, programs; each tells a good model from a bad one."""

import json
from types import SimpleNamespace

import pytest
import torch

from omnitrain.errors import DataError, UsageError
from omnitrain.plugins import installed
from omnitrain_language.predictor import LanguagePredictor
from omnitrain_phf.configs.evaluators import ClassificationConfig, LastWordConfig, PassAtKConfig
from omnitrain_phf.configs.models import CausalWithValuesConfig
from omnitrain_phf.evaluators import pass_at_k as programs
from omnitrain_phf.evaluators.classification import Classification
from omnitrain_phf.evaluators.classification import build as build_classification
from omnitrain_phf.evaluators.last_word import LastWord
from omnitrain_phf.evaluators.pass_at_k import PassAtK
from omnitrain_phf.evaluators.sandbox import Limits, run_program, run_programs
from omnitrain_phf.models.causal import build

NAMES = ("last-word", "classification", "pass-at-k")


@pytest.fixture
def predictor(make_data, make_context):
    data = make_data()
    model = build(CausalWithValuesConfig(size="tiny", max_length=64), make_context(**data.facts()))
    return LanguagePredictor(model, data.tokenizer)


@pytest.fixture
def run(make_context):
    return make_context()


@pytest.mark.parametrize("name", NAMES)
def test_capability_is_an_evaluator_like_any_other(name):
    component = installed().component(f"phf/{name}", "evaluator")
    assert component.kind == "evaluator"


def learn(predictor, texts, steps=60):
    """Teach a model some texts by heart."""
    tokenizer, model = predictor.tokenizer, predictor.model
    rows = [[predictor.eos_ids[0], *tokenizer(text, add_special_tokens=False).input_ids] for text in texts]
    width = max(map(len, rows))
    ids = torch.tensor([row + [predictor.eos_ids[0]] * (width - len(row)) for row in rows])
    labels = torch.tensor([row + [-100] * (width - len(row)) for row in rows])
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(steps):
        model(input_ids=ids, labels=labels).loss.backward()
        optimiser.step()
        optimiser.zero_grad()


def test_last_words_that_were_learned_are_right_and_others_are_not(predictor, run, tmp_path):
    texts = ["abc def ghi jab", "dab fig had bed", "cab chef jig aide", "a big bad hag"]
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in [*texts, "word"]), "utf-8")
    evaluator = LastWord(LastWordConfig(path=str(path), batch_size=3))
    torch.manual_seed(0)
    before = evaluator(predictor, None, run)
    learn(predictor, texts)
    after = evaluator(predictor, None, run)
    # A text of one word has no context and is left out.
    assert after.metrics["accuracy"].n == 4
    assert before.metrics["accuracy"].value < 0.5
    assert after.metrics["accuracy"].value == 1.0
    assert after.metrics["nll"].value < before.metrics["nll"].value / 3
    path.write_text('{"text": "word"}\n', "utf-8")
    with pytest.raises(DataError, match="two words"):
        evaluator(predictor, None, run)


def test_fine_tuning_learns_a_task_and_leaves_the_model_as_it_was(predictor, run, tmp_path):
    path = tmp_path / "task.jsonl"
    rows = [{"inputs": f"{'aaa' if i % 3 else 'jjj'} {'bcd'[i % 2]}e", "targets": "yes" if i % 3 else "no"} for i in range(90)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    before = {name: tensor.clone() for name, tensor in predictor.model.state_dict().items()}
    config = ClassificationConfig(path=str(path), restarts=2, epochs=6, batch_size=16)
    found = [Classification(config)(predictor, None, run).metrics for _ in range(2)]
    assert found[0]["accuracy"].value == 1.0
    assert found[0]["accuracy"].n == 2
    assert found[0]["commonest class"].value == pytest.approx(2 / 3)
    assert found[0] == found[1]
    assert all(torch.equal(before[name], tensor) for name, tensor in predictor.model.state_dict().items())
    with pytest.raises(UsageError, match="builtin:contacts"):
        build_classification(ClassificationConfig(path="builtin:none"), run)


PROBLEM = {
    "task_id": "add",
    "prompt": "def add(a, b):\n    ",
    "test": "def check(f):\n    assert f(2, 3) == 5\n",
    "entry_point": "add",
}


def test_pass_at_k_counts_programs_that_pass_their_test(predictor, run, tmp_path, monkeypatch):
    path = tmp_path / "problems.jsonl"
    path.write_text(json.dumps(PROBLEM) + "\n", "utf-8")
    written = ["return a + b\ndef other():\n    1 / 0", "return a - b", "while True:\n        pass", "return [0] * 10**9"]
    monkeypatch.setattr(programs, "write", lambda model, prompts, settings: [[0]] * len(prompts))
    monkeypatch.setattr(programs, "decode", lambda model, rows: written)
    config = PassAtKConfig(run_generated_code=True, path=str(path), samples=4, ks=[1, 2], timeout_s=1.0, memory_mib=256)
    found = PassAtK(config)(predictor, None, run)
    assert found.metrics["pass@1"].value == 0.25
    assert found.metrics["pass@2"].value == pytest.approx(0.5)
    assert [found.metrics[name].value for name in ("passed", "failed", "timed out")] == [1, 2, 1]
    path.write_text('{"task_id": "x"}\n', "utf-8")
    with pytest.raises(DataError, match="no field 'prompt'"):
        PassAtK(config)(predictor, None, run)


def test_programs_see_neither_this_folder_nor_the_variables_and_leave_nothing_running(tmp_path, monkeypatch):
    monkeypatch.setenv("OMNITRAIN_SECRET", "x")
    limits = Limits(5.0, 256 * 2**20)
    assert run_program("import os\nassert 'OMNITRAIN_SECRET' not in os.environ and not os.listdir('.')", limits) == "passed"
    mark = tmp_path / "late"
    late = f"import time; time.sleep(1); open({str(mark)!r}, 'w')"
    child = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {late!r}])"
    assert run_program(child, limits) == "passed"
    assert run_program("import time\ntime.sleep(1.2)", limits) == "passed"
    assert not mark.exists()


def test_outcomes_are_in_the_order_of_the_programs():
    sources = ["import time; time.sleep(0.3)", "assert False", "pass"]
    assert run_programs(sources, Limits(5.0, 256 * 2**20), 3) == ["passed", "failed", "passed"]


def test_models_that_are_no_language_models_are_refused(run):
    with pytest.raises(UsageError, match="phf/last-word needs a decoder-only language model"):
        LastWord(LastWordConfig())(SimpleNamespace(model=None), None, run)
