"""Evaluators of a recipe carry names, so that no result is known by its place in a list."""

import re

import pytest

from omnitrain.errors import UsageError
from omnitrain.plugins import installed
from omnitrain.recipes import load_recipe, lock_text, plain
from omnitrain.recipes.schema import recipe_schema

RECIPE = """\
stages:
  - name: train
    use: core/fit
    data: toy/rows
    model: toy/net
    objective: toy/square
    fit: {steps: 1, learning_rate: 1e-2}
    evaluators: [EVALUATORS]
"""


@pytest.fixture
def labels(tmp_path):
    """Return the labels of a list of evaluators in a recipe."""

    def labels(evaluators):
        return [use.label for use in _evaluators(tmp_path, evaluators)]

    return labels


def _evaluators(folder, text):
    path = folder / "r.yaml"
    path.write_text(RECIPE.replace("EVALUATORS", text))
    return load_recipe(str(path)).stage("train").config.evaluators


def _refused(folder, text):
    with pytest.raises(UsageError) as caught:
        _evaluators(folder, text)
    return re.sub(r"\S*/r\.yaml", "r.yaml", str(caught.value))


def test_label_is_the_name_else_the_address(labels):
    assert labels("toy/error, {use: toy/error, name: slow, slow_s: 0.1}") == ["toy/error", "slow"]


@pytest.mark.parametrize(
    ("evaluators", "said"),
    [
        ("toy/error, toy/error", "train.evaluators.1: two evaluators are labelled 'toy/error'; give each a 'name:'"),
        ("{use: toy/error, name: a}, {use: toy/error, name: a}", "labelled 'a'; give each a 'name:'"),
        ("{use: toy/error, name: R}, {use: toy/error, name: r}", "labelled 'r' and 'R', which are stored under one name"),
        (
            "toy/error, {use: toy/error, name: toy-error}",
            "labelled 'toy-error' and 'toy/error', which are stored under one name",
        ),
    ],
)
def test_two_evaluators_with_one_label_are_refused_with_the_remedy(tmp_path, evaluators, said):
    message = _refused(tmp_path, evaluators)
    assert message.startswith("r.yaml:8: ")
    assert said in message


@pytest.mark.parametrize("name", ["''", "a/b", "../a", "-a", ".a", "a b", "x" * 65, "5", "train", "valid", "a-00000010"])
def test_name_that_no_file_or_split_may_have_is_refused(tmp_path, name):
    message = _refused(tmp_path, f"{{use: toy/error, name: {name}}}")
    assert "r.yaml:8: train.evaluators.0.name: expected a" in message


def test_lock_has_the_name_where_there_is_one_and_is_read_again(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(RECIPE.replace("EVALUATORS", "toy/error, {use: toy/error, name: second}"))
    recipe = load_recipe(str(path))
    assert plain(recipe.stage("train").config)["evaluators"] == [
        {"use": "toy/error", "slow_s": 0.0, "needs_split": "", "odd": ""},
        {"use": "toy/error", "name": "second", "slow_s": 0.0, "needs_split": "", "odd": ""},
    ]
    lock = tmp_path / "lock.yaml"
    lock.write_text(lock_text(recipe))
    assert [use.label for use in load_recipe(str(lock)).stage("train").config.evaluators] == ["toy/error", "second"]


def test_name_can_be_set_on_the_command_line(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(RECIPE.replace("EVALUATORS", "toy/error"))
    recipe = load_recipe(str(path), ["train.evaluators.0.name=first"])
    assert recipe.stage("train").config.evaluators[0].label == "first"


def test_schema_takes_names_of_evaluators_only(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(RECIPE.replace("EVALUATORS", "{use: toy/error, name: first}"))
    definitions = recipe_schema(load_recipe(str(path)), installed())["$defs"]
    own = {name: definitions[name]["anyOf"][0]["properties"] for name in ("UseEvaluator", "UseData")}
    assert own["UseEvaluator"]["name"] == {"type": "string"}
    assert "name" not in own["UseData"]
