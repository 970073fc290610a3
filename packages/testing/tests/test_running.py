"""Whole recipes in a plugin's own tests."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sample import write_plugin

from omnitrain.errors import UsageError
from omnitrain.plugins import registry
from omnitrain_testing.running import dry_run, read_recipe, run_recipe, run_tiny

SMALL = {
    "stages": [
        {
            "name": "train",
            "use": "core/fit",
            "data": "ran/rows",
            "model": "ran/net",
            "objective": "ran/square",
            "fit": {"steps": 2, "batch_size": 4},
        }
    ]
}


@pytest.fixture(autouse=True)
def plugin(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install the sample as `ran`."""
    monkeypatch.syspath_prepend(str(write_plugin(tmp_path_factory.mktemp("ran"), "ran")))
    registry.installed.cache_clear()
    yield
    registry.installed.cache_clear()
    for name in [name for name in sys.modules if name.startswith("omnitrain_ran")]:
        del sys.modules[name]


def test_tiny_runs_and_its_numbers_are_read_by_stage_and_evaluator(tmp_path: Path) -> None:
    run = run_tiny("ran", tmp_path / "run", "train.fit.steps=4")
    assert run.record("train").status == "finished"
    assert run.metrics("train", "ran/error")["mean_error"].n == 4
    assert [line["step"] for line in run.lines("train")] == [2, 4]


def test_recipe_may_be_plain_values_with_overrides(tmp_path: Path) -> None:
    assert read_recipe(SMALL, "seed=3", "train.model.width=9").stage("train").config.model.config.width == 9
    run = run_recipe(SMALL, tmp_path / "run", "train.fit.steps=1")
    assert run.artifact("train", "model").exists()
    with pytest.raises(UsageError, match=r"train\.fit\.step: unknown key"):
        read_recipe(SMALL, "train.fit.step=1")


def test_dry_run_trains_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = dry_run("ran/paper")
    assert found.error is None
    assert [stage.name for stage in found.stages] == ["train"]
    assert list(tmp_path.iterdir()) == []
