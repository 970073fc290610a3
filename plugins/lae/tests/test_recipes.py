"""Recipes end to end, and what users hear about mistakes."""

import json
from pathlib import Path

import pytest
from helpers import DATA

import omnitrain_lae
from omnitrain.engine import Options, run_recipe
from omnitrain.errors import UsageError
from omnitrain.plugins import installed
from omnitrain.recipes import load_recipe

RECIPES = Path(omnitrain_lae.__file__).parent / "recipes"
SMALL = (
    "pretrain.fit.steps=4",
    "pretrain.data.per_class=4",
    "scenario.data.tasks=2",
    "scenario.data.data.max_per_class=30",
)


def go(address, out, *overrides):
    return run_recipe(load_recipe(address, list(overrides)), out, Options(quiet=True), installed())


def test_mini_learns_compares_and_evaluates(tmp_path):
    arms = ("adapter", "prefix", "online", "heads", "sequential", "joint")
    folder = go("lae/mini", tmp_path, *SMALL, *(f"{arm}.epochs=2" for arm in arms))
    table = json.loads((tmp_path / "compare" / "evaluations" / "lae-compare.json").read_text())["tables"]["arms"]
    assert [row[0] for row in table["rows"]][:2] == ["LAE adapter", "LAE prefix"]
    accuracy = json.loads((folder.artifact("adapter", "accuracy").path / "accuracy.json").read_text())
    assert list(accuracy["after task"]["offline"]) == ["2"]
    assert len(accuracy["after task"]["ensemble"]["2"]) == 2
    evaluated = json.loads((tmp_path / "evaluate" / "evaluations" / "lae-accuracy.json").read_text())["metrics"]
    counts = accuracy["tests"]
    row = accuracy["after task"]["online"]["2"]
    expected = sum(a * n for a, n in zip(row, counts, strict=True)) / sum(counts)
    assert evaluated["online"]["value"] == pytest.approx(expected, abs=1e-12)


def test_a_text_classifier_is_learned_continually(tmp_path):
    folder = go("lae/text", tmp_path, "pretrain.fit.steps=3", "learn.epochs=1", "learn.freeze_epochs=0", "learn.batch_size=256")
    accuracy = json.loads((folder.artifact("learn", "accuracy").path / "accuracy.json").read_text())
    assert set(accuracy["after task"]) == {"online", "offline", "ensemble", "task known"}
    assert (folder.artifact("learn", "model").path / "tokenizer.json").exists()


@pytest.mark.skipif(not DATA.is_dir(), reason="the Omniglot archives are not beside this checkout")
def test_omniglot_runs_by_path(tmp_path):
    paths = (f"pretrain.data.path={DATA}", f"scenario.data.data.path={DATA}", "pretrain.fit.steps=2", "scenario.data.tasks=2")
    arms = ("adapter", "lora", "prefix", "online", "heads", "sequential")
    folder = go("lae/omniglot", tmp_path, *paths, *(f"{arm}.epochs=1" for arm in arms))
    assert folder.artifact("adapter", "model").path.exists()


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_recipe_is_valid(path):
    assert load_recipe(f"lae/{path.stem}").stages


@pytest.mark.parametrize("name", ["cifar100", "imagenet-r", "domainnet", "paper"])
def test_recipes_of_the_paper_name_its_settings(name):
    recipe = load_recipe(f"lae/{name}")
    for stage in recipe.stages:
        if stage.use != "lae/continual" or stage.config.tune == "heads":
            continue
        config = stage.config
        assert config.batch_size == 24
        assert (config.epochs, config.freeze_epochs, config.base_learning_rate) in {(5, 3, 0.03), (50, 30, 0.005)}
        assert config.accumulation.decay == 0.9999
        assert "/" in config.model.config.path
        assert (config.optimiser.name, config.optimiser.weight_decay) == ("adam", 0.0)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("learn.freeze_epochs=-1", r"learn.freeze_epochs.*greater than or equal to 0"),
        ("learn.pet={use: lae/adaptor}", r"no model 'lae/adaptor'. Did you mean 'lae/adapter'"),
        ("learn.tune=head", r"learn.tune.*'heads'"),
    ],
)
def test_wrong_settings_are_named(override, message):
    with pytest.raises(UsageError, match=message):
        load_recipe("lae/tiny", [override])


def test_data_without_tasks_is_refused_with_the_way_out(tmp_path):
    recipe = tmp_path / "wrong.yaml"
    recipe.write_text(
        "stages:\n"
        "  - name: learn\n"
        "    use: lae/continual\n"
        "    data: {use: lae/images, size: 8, channels: 1, transform: resize}\n"
        "    model: {use: lae/vision, size: tiny}\n"
    )
    with pytest.raises(UsageError, match=r"it has no tasks; wrap it: \{use: lae/class-incremental"):
        go(str(recipe), tmp_path / "run")


def test_an_answer_about_no_benefit_is_given():
    import numpy as np

    from omnitrain_lae.evaluators.answers import Answered
    from omnitrain_lae.stages.compare import comparison

    def arm(right):
        labels, tasks = np.arange(10) % 2, np.zeros(10, np.int64)
        given = np.where(np.arange(10) < right, labels, 1 - labels)
        return [Answered(0, labels, tasks, {"online": given, "ensemble": given, "task known": labels})]

    level = comparison({"LAE": arm(5), "frozen heads": arm(5)}, "frozen heads", 0.01)
    assert level.tables["arms"].caption.startswith("Benefit of tuning not shown")
    better = comparison({"LAE": arm(8), "frozen heads": arm(5)}, "frozen heads", 0.01)
    assert better.tables["arms"].caption == "Above frozen heads by more than 0.01: LAE."
