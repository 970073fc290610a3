"""Relative gains: hand cases, and the errors that keep a mean from meaning nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitrain.errors import DataError
from omnitrain_testing.finished import finished_run
from omnitrain_ul2.evidence.measures import COLUMNS, finetuning, scores
from omnitrain_ul2.paper.gains import gains_over, mean_gains, relative_gain, worst_regret

SCORES = {"ul2": {"a": 60.0, "b": -1.0}, "t5": {"a": 40.0, "b": -2.0}, "gpt": {"a": 80.0, "b": -0.5}}


def test_gain_is_the_difference_over_the_anchors_size():
    assert relative_gain(60.0, 40.0) == pytest.approx(0.5)
    assert relative_gain(-1.0, -2.0) == pytest.approx(0.5)
    assert relative_gain(-3.0, -2.0) == pytest.approx(-0.5)


def test_overall_score_is_the_mean_over_tasks_for_each_anchor():
    means = mean_gains(SCORES, ["t5", "gpt"])
    assert means["t5"] == pytest.approx({"ul2": 0.5, "t5": 0.0, "gpt": (1.0 + 0.75) / 2})
    assert means["gpt"]["ul2"] == pytest.approx((-0.25 - 1.0) / 2)


@given(st.floats(-100, 100), st.floats(0.01, 100), st.sampled_from([-1, 1]), st.floats(0.1, 10))
def test_gain_does_not_depend_on_the_unit(score, size, sign, unit):
    anchor = sign * size
    assert relative_gain(unit * score, unit * anchor) == pytest.approx(relative_gain(score, anchor), abs=1e-6)


def test_undefined_gains_are_refused_by_name():
    with pytest.raises(DataError, match=r"no arm 'bert'.*ul2, t5, gpt"):
        gains_over(SCORES, "bert")
    with pytest.raises(DataError, match="measured on other tasks"):
        gains_over({**SCORES, "ul2": {"a": 1.0}}, "t5")
    with pytest.raises(DataError, match="anchor 't5' on b is 0"):
        gains_over({**SCORES, "t5": {"a": 1.0, "b": 0.0}}, "t5")
    with pytest.raises(DataError):
        relative_gain(1.0, 0.0)


def write_run(folder, scale):
    """A finished run of ul2/finetune whose scores in the best mode are `scale` times 2, or -2 / scale."""
    files = {}
    for stage, task, metric in COLUMNS.values():
        values = files.setdefault((stage, "ul2/tasks"), {})
        good = -2 / scale if metric == "log-likelihood" else 2 * scale
        values |= {f"{task}/R/{metric}": good, f"{task}/none/{metric}": good - 1}
    for mode, worse in (("S", 0.5), ("R", 0.0), ("none", 1.0)):
        files["measure", f"prefix-lm-{mode}"] = {"S(0.5)": 2 / scale + worse}
    return finished_run(folder, files)


def test_claim_takes_every_column_in_its_best_mode(tmp_path):
    runs = {n: write_run(tmp_path / n, s) for n, s in (("UL2", 2.0), ("span corruption", 1.0), ("causal LM", 4.0))}
    assert scores(runs["UL2"]) == dict(zip([*COLUMNS, "text, log-likelihood"], [4.0, 4.0, -1.0, -1.0, -1.0], strict=True))
    found = finetuning(runs)
    assert found["mean gain over span corruption (%)"] == pytest.approx(100 * (2 * 1.0 + 3 * 0.5) / 5)
    assert found["mean gain over causal LM (%)"] == pytest.approx(100 * (2 * -0.5 + 3 * -1.0) / 5)
    assert found["UL2"] == found["mean gain over causal LM (%)"]
    assert found["no gain"] == 0.0
    with pytest.raises(DataError, match="no stage 'measure-kinds'"):
        scores(finished_run(tmp_path / "nothing", {}))


def test_regret_is_the_largest_distance_to_the_best_arm():
    losses = {"a": {"x": 1.0, "y": 5.0}, "b": {"x": 3.0, "y": 4.0}}
    assert worst_regret(losses) == {"a": 1.0, "b": 2.0}
