"""Fine-tuning on a classification task."""

import json

import pytest
import torch

from omnitrain.engine import scratch_run
from omnitrain.errors import NumericalError, UsageError
from omnitrain_phf.configs.evaluators import ClassificationConfig
from omnitrain_phf.evaluators.classification import Classification
from omnitrain_phf.evaluators.classification import build as build_classification


def task(path):
    rows = [{"inputs": f"{'aaa' if i % 3 else 'jjj'} {'bcd'[i % 2]}e", "targets": "yes" if i % 3 else "no"} for i in range(90)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)


def test_fine_tuning_that_diverges_is_no_score(plain_predictor, tmp_path):
    config = ClassificationConfig(path=task(tmp_path / "task.jsonl"), restarts=1, epochs=2, batch_size=16, learning_rate=1e30)
    with scratch_run() as run, pytest.raises(NumericalError, match="NaN or infinite"):
        Classification(config)(plain_predictor, None, run)


def test_fine_tuning_learns_a_task_and_leaves_the_model_as_it_was(plain_predictor, run, tmp_path):
    path = task(tmp_path / "task.jsonl")
    before = {name: tensor.clone() for name, tensor in plain_predictor.model.state_dict().items()}
    config = ClassificationConfig(path=path, restarts=2, epochs=6, batch_size=16)
    found = [Classification(config)(plain_predictor, None, run).metrics for _ in range(2)]
    assert found[0]["accuracy"].value == 1.0
    assert found[0]["accuracy"].n == 2
    assert found[0]["commonest class"].value == pytest.approx(2 / 3)
    assert found[0] == found[1]
    assert all(torch.equal(before[name], tensor) for name, tensor in plain_predictor.model.state_dict().items())
    with pytest.raises(UsageError, match="builtin:contacts"):
        build_classification(ClassificationConfig(path="builtin:none"), run)
