"""Each objective's training, ended without warning in the middle and begun again, is bitwise the uninterrupted one."""

import json

import pytest

from omnitrain.engine import Options, load_recipe, run_recipe
from omnitrain_phf.objectives import _Objective

CONTROL = {"threshold": 0.0, "drop_token_fraction": 0.1}
ARMS = {
    "mle": ({"use": "phf/mle"}, {}),
    "filtering": ({"use": "phf/mle"}, {"filter_threshold": 0.1}),
    "conditional": ({"use": "phf/conditional"}, {"control": CONTROL}),
    "unlikelihood, hard": ({"use": "phf/unlikelihood", "score_threshold": 0.1}, {}),
    "unlikelihood, soft": ({"use": "phf/unlikelihood", "mode": "soft"}, {}),
    "rwr": ({"use": "phf/rwr", "beta": 0.1}, {}),
    "awr": ({"use": "phf/awr", "alpha": 0.5, "beta": 0.1}, {}),
}
STEPS, CHECKPOINT, END = 7, 3, 5


class Ended(BaseException):
    """Nothing that a run could handle."""


@pytest.fixture
def train(tmp_path, records, monkeypatch):
    """Train an arm into a folder; `end` is the update in which it ends."""
    monkeypatch.setenv("OMNITRAIN_CACHE", str(tmp_path.parent / "cache"))

    def run(arm, out, end=None):
        objective, settings = ARMS[arm]
        head = {"value_head": {}} if arm == "awr" else {}
        data = {"use": "phf/scored-text", "path": str(records), "length": 32, "tokenizer": {"vocabulary_size": 300}}
        fit = {"steps": STEPS, "batch_size": 8, "accumulate": 2, "learning_rate": 1e-2, "checkpoint_every": CHECKPOINT}
        stage = {
            "name": "train",
            "use": "core/fit",
            "data": {**data, "shuffle_buffer": 24, **settings},
            "model": {"use": "phf/causal", "size": "tiny", "max_length": 64, "dropout": 0.1, **head},
            "objective": objective,
            "fit": {**fit, "log_every": 1, "evaluate_batches": 1},
        }
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(json.dumps({"seed": 3, "stages": [stage]}), "utf-8")
        calls, forward = [], _Objective.forward

        def counted(self, model, batch):
            calls.append(len(batch["input_ids"]))
            # Two micro-batches an update: in the middle of one.
            if end is not None and len(calls) == 2 * end:
                raise Ended
            return forward(self, model, batch)

        with monkeypatch.context() as patch:
            patch.setattr(_Objective, "forward", counted)
            run_recipe(load_recipe(str(recipe), []), tmp_path / out, Options(quiet=True))
        return len(calls)

    return run


def product(folder):
    files = [path for path in (folder / "train" / "model").iterdir() if path.is_file()]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines()]
    return {path.name: path.read_bytes() for path in files}, lines


@pytest.mark.parametrize("arm", ARMS)
def test_training_that_was_killed_goes_on_as_if_nothing_had_happened(arm, train, tmp_path):
    whole = train(arm, "whole")
    with pytest.raises(Ended):
        train(arm, "killed", end=END)
    assert not (tmp_path / "killed" / "train" / "model").exists()
    # From the checkpoint and not from the beginning.
    assert train(arm, "killed") < whole
    expected, found = product(tmp_path / "whole"), product(tmp_path / "killed")
    assert "model.safetensors" in expected[0]
    assert found == expected
