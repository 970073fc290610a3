"""From stored evaluations of ul2/arm to the numbers of its claims."""

import json

import pytest

from omnitrain.api import FinishedRun
from omnitrain.engine import Options, run_recipe
from omnitrain.errors import DataError
from omnitrain.recipes import load_recipe, locked_values
from omnitrain_testing.finished import finished_run
from omnitrain_ul2.evidence.measures import MODES, TARGET_MODES, TASKS, modes, objective_matrix, share_of_s, task_losses

NAMES = [name for names in TASKS.values() for name in names]


def finished(folder, text, targets=None):
    """A run of ul2/arm. text: mode to loss of every denoiser; targets: mode to (infilling, prefix LM)."""
    values = {mode: {name: text.get(mode, 9.0) for name in NAMES} for mode in MODES}
    for mode in TARGET_MODES:
        values[f"targets-{mode}"] = dict(zip(("R(3,0.15)", "S(0.5)"), (targets or {}).get(mode, (9.0, 9.0)), strict=True))
    return finished_run(folder, {("measure", label): metrics for label, metrics in values.items()})


def test_regret_is_against_the_best_arm_each_in_its_best_mode(tmp_path):
    losses = {
        "UL2": {"S": 3.0, "none": 3.5},
        "causal LM": {"none": 3.2},
        "prefix LM": {"R": 4.0},
        "span corruption": {"X": 3.1},
    }
    found = objective_matrix({name: finished(tmp_path / name, by_mode) for name, by_mode in losses.items()})
    assert found["UL2"] == 0
    assert found["best baseline"] == pytest.approx(0.1)
    assert found["prefix LM, extreme"] == pytest.approx(4.0)


def test_right_modes_are_those_of_training(tmp_path):
    targets = {"R": (2.0, 5.0), "S": (6.0, 3.0), "none": (4.0, 4.0)}
    found = modes({"UL2": finished(tmp_path, {}, targets)})
    assert (found["right mode"], found["wrong mode"], found["no mode"]) == (2.5, 5.5, 4.0)
    assert found["infilling under S"] == 6.0


def test_share_of_s_is_compared_with_the_best_other(tmp_path):
    shares = {"S 0 %": 4.0, "UL2": 3.0, "S 50 %": 3.4, "S 100 %": 3.2}
    found = share_of_s({name: finished(tmp_path / name, {"none": loss}) for name, loss in shares.items()})
    assert found["20 %"] == 0
    assert found["best other share"] == pytest.approx(0.2)


def test_missing_evaluation_is_named(tmp_path):
    run = finished_run(tmp_path, {("measure", "matching"): {}})
    with pytest.raises(DataError, match=r"no evaluation 'targets-R'; it holds matching"):
        modes({"UL2": run})


def test_order_of_evaluators_changes_no_number_of_a_claim(tmp_path):
    recipe = locked_values(load_recipe("ul2/arm", ["pretrain.fit.steps=1"]))
    measure = recipe["stages"][1]
    measure["evaluators"] = [{**evaluator, "rows": 2} for evaluator in measure["evaluators"]]
    found = []
    for name in ("as it is", "turned around"):
        file = tmp_path / f"{name}.yaml"
        file.write_text(json.dumps(recipe), "utf-8")
        run_recipe(load_recipe(str(file)), tmp_path / name, Options(quiet=True))
        run = FinishedRun(tmp_path / name)
        found.append((modes({"UL2": run}), task_losses(run)))
        measure["evaluators"].reverse()
    assert found[0] == found[1]
