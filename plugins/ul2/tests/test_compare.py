"""Models side by side."""

from dataclasses import replace

from omnitrain_ul2.configs.stages import ArmConfig, CompareConfig
from omnitrain_ul2.evaluators.cross_denoising import (
    TaskLoss,
)
from omnitrain_ul2.stages.compare import evaluation


def test_comparison_has_a_column_per_arm_and_the_regret():
    tasks = {"R": TaskLoss([2.0, 4.0], [1.0, 1.0], 10.0), "S": TaskLoss([1.0, 1.0], [1.0, 1.0], 8.0)}
    other = {"R": replace(tasks["R"], rows=[8.0, 8.0]), "S": tasks["S"]}
    found = evaluation({"one": tasks, "two": other}, CompareConfig(arms={"one": ArmConfig(model="language/t5")}))
    assert found.metrics["two/worst-case regret"].value == 5.0
    assert found.tables["denoisers"].columns == ("denoiser", "unigram", "one", "two", "tokens")
    assert found.tables["denoisers"].rows[0] == ["R", 5.0, 3.0, 8.0, 2]
