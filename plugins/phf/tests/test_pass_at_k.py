"""Programs that solve problems, counted."""

import json

import pytest

from omnitrain.errors import DataError, UsageError
from omnitrain_phf.configs.evaluators import PassAtKConfig
from omnitrain_phf.evaluators import pass_at_k as programs
from omnitrain_phf.evaluators.pass_at_k import PassAtK, cut_program

PROBLEM = {
    "task_id": "add",
    "prompt": "def add(a, b):\n    ",
    "test": "def check(f):\n    assert f(2, 3) == 5\n",
    "entry_point": "add",
}


def test_pass_at_k_counts_programs_that_pass_their_test(plain_predictor, run, tmp_path, monkeypatch):
    path = tmp_path / "problems.jsonl"
    path.write_text(json.dumps(PROBLEM) + "\n", "utf-8")
    written = ["return a + b\ndef other():\n    1 / 0", "return a - b", "while True:\n        pass", "return [0] * 10**9"]
    monkeypatch.setattr(programs, "write", lambda model, prompts, settings: [[0]] * len(prompts))
    monkeypatch.setattr(programs, "texts_of", lambda model, prompts, rows: written)
    config = PassAtKConfig(run_generated_code=True, path=str(path), samples=4, ks=[1, 2], timeout_s=1.0, memory_mib=256)
    found = PassAtK(config)(plain_predictor, None, run)
    assert found.metrics["pass@1"].value == 0.25
    assert found.metrics["pass@2"].value == pytest.approx(0.5)
    assert [found.metrics[name].value for name in ("passed", "failed", "timed out")] == [1, 2, 1]
    path.write_text('{"task_id": "x"}\n', "utf-8")
    with pytest.raises(DataError, match="no field 'prompt'"):
        PassAtK(config)(plain_predictor, None, run)


def test_generated_code_runs_only_when_that_was_said():
    with pytest.raises(UsageError, match="run_generated_code"):
        PassAtK(PassAtKConfig())
    assert cut_program("return 1\n\ndef other():\n    pass") == "return 1\n"
