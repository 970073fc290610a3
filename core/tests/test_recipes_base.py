"""A recipe may begin with another one: every value keeps the line where it was written, and no chain goes on for ever."""

import re
from types import MappingProxyType

import pytest

from omnitrain.api import Plugin, Recipe
from omnitrain.errors import PluginError, UsageError
from omnitrain.plugins import PluginState, Registry, installed
from omnitrain.recipes import expanding, load_recipe, locked_values, written_out
from omnitrain.recipes.lock import lock_text

ARM = """\
summary: One arm.
seed: 3
stages:
  - name: train
    use: core/fit
    data: {use: toy/rows, rows: 20}
    model: toy/net
    objective: {use: toy/square}
    fit:
      steps: 5
      learning_rate: 1e-2
  - name: measure
    use: core/evaluate
    model: {from: train}
    evaluators: [toy/error]
variants:
  long:
    summary: Longer.
    set: {train.fit.steps: 50}
  wide: {set: {train.model.width: 16}, seed: 4}
  same:
"""


@pytest.fixture
def load(tmp_path):
    """Load "r.yaml" (or another name) beside files given by name, "_" for "."."""

    def load(text, *overrides, start="r.yaml", **files):
        for name, content in {"r.yaml": text, "arm.yaml": ARM, **{n.replace("_", "."): c for n, c in files.items()}}.items():
            (tmp_path / name).write_text(content)
        return load_recipe(str(tmp_path / start), list(overrides))

    return load


@pytest.fixture
def fault(load, tmp_path):
    """Return the message of a recipe that is refused, without its folder."""

    def fault(text, *overrides, kind=UsageError, **more):
        with pytest.raises(kind) as caught:
            load(text, *overrides, **more)
        return str(caught.value).replace(f"{tmp_path}/", "")

    return fault


def origins(recipe):
    """Where each value was written, without the folder, by its path."""
    return {path: re.sub(r".*/(\w+\.yaml)", r"\1", str(origin)) for path, origin in recipe.origins.items()}


def test_base_with_set_is_the_recipe_with_these_overrides(load):
    entries = {
        "train.fit.steps": "9",
        "train.fit.learning_rate": "1e-4",
        "train.data": "{use: toy/rows, rows: 30}",
        "seed": "5",
    }
    text = "base: arm.yaml\nsummary: Mine.\nset:\n" + "".join(f"  {key}: {value}\n" for key, value in entries.items())
    found = load(text)
    overridden = load(ARM, *(f"{key}={value}" for key, value in entries.items()), "summary=Mine.")
    assert locked_values(found) == locked_values(overridden)
    assert (found.summary, found.seed, found.stage("train").config.data.config.rows) == ("Mine.", 5, 30)


def test_values_keep_the_line_where_they_were_written(load):
    recipe = load("base: arm.yaml\nset:\n  train.fit.steps: 9\n  train.data:\n    use: toy/rows\n    rows: 30\n")
    found = origins(recipe)
    assert found["stages", 0, "fit", "steps"] == "r.yaml:3"
    assert found["stages", 0, "fit", "learning_rate"] == "arm.yaml:11"
    assert found["stages", 0, "data", "rows"] == "r.yaml:6"
    text = lock_text(recipe)
    assert re.search(r"stages\.0\.fit\.steps: \S*r\.yaml:3\n", text)
    assert re.search(r"stages\.0\.model\.use: \S*arm\.yaml:7\n", text)
    assert re.search(r"stages\.0\.fit\.optimiser\.weight_decay: default\n", text)


def test_base_may_be_an_address_and_have_a_base(load):
    direct = locked_values(load_recipe("toy/tiny", ["train.fit.steps=2", "seed=9"]))
    first = "base: toy/tiny\nset: {train.fit.steps: 2}\n"
    assert locked_values(load("base: first.yaml\nseed: 9\n", first_yaml=first)) == direct
    assert locked_values(load("base: toy\nseed: 9\nset: {train.fit.steps: 2}\n")) == direct


@pytest.mark.parametrize(
    ("variant", "steps", "width", "seed", "summary"),
    [("long", 50, 8, 3, "Longer."), ("wide", 5, 16, 4, "One arm."), ("same", 5, 8, 3, "One arm.")],
)
def test_row_of_a_table_is_the_common_part_with_what_it_sets(variant, steps, width, seed, summary, load):
    recipe = load(ARM, start=f"arm.yaml#{variant}")
    train = recipe.stage("train").config
    assert (train.fit.steps, train.model.config.width, recipe.seed, recipe.summary) == (steps, width, seed, summary)
    assert recipe.address.endswith(f"arm.yaml#{variant}")
    assert set(recipe.value) == {"summary", "seed", "stages"}


def test_file_of_a_table_without_a_choice_is_its_common_part(load):
    assert locked_values(load(ARM)) == locked_values(load(ARM, start="arm.yaml#same"))


def test_row_may_have_a_base_of_its_own_below_what_the_file_sets(load):
    text = """\
base: arm.yaml
set: {train.fit.steps: 7, train.fit.learning_rate: 0.5}
variants:
  wide: {base: arm.yaml#wide, set: {train.fit.steps: 8}}
  plain: {}
"""
    wide, plain = load(text, start="r.yaml#wide"), load(text, start="r.yaml#plain")
    assert (wide.stage("train").config.fit.steps, plain.stage("train").config.fit.steps) == (8, 7)
    assert (wide.stage("train").config.model.config.width, wide.seed, plain.seed) == (16, 4, 3)
    assert wide.stage("train").config.fit.learning_rate == 0.5


def test_stage_like_an_earlier_one_is_written_out(load):
    more = "  - {name: again, base: train, set: {fit.steps: 6, model.width: 4}}\n"
    more += "  - {name: third, base: again, set: {data: toy/rows}}\n"
    recipe = load(ARM.replace("variants:", more + "variants:"))
    train, again, third = (recipe.stage(name).config for name in ("train", "again", "third"))
    assert (again.fit.steps, again.model.config.width, again.data.config.rows) == (6, 4, 20)
    assert (third.fit.steps, third.data.config.rows) == (6, load_recipe("toy/tiny").stage("train").config.data.config.rows)
    assert train.fit.steps == 5
    found = origins(recipe)
    assert (found["stages", 2, "fit", "steps"], found["stages", 2, "fit", "learning_rate"]) == ("r.yaml:16", "r.yaml:11")
    changed = load(ARM.replace("variants:", more + "variants:"), "train.fit.steps=1")
    assert changed.stage("again").config.fit.steps == 6


def test_command_line_goes_above_everything(load):
    recipe = load("base: arm.yaml\nset: {train.fit.steps: 7}\n", "train.fit.steps=8")
    assert recipe.stage("train").config.fit.steps == 8
    assert origins(recipe)["stages", 0, "fit", "steps"] == "command line: train.fit.steps=8"


BASE = "base: arm.yaml\n"
FAULTS = {
    "unknown stage": (
        BASE + "set:\n  trian.fit.steps: 1\n",
        r"^r\.yaml:3: set: trian\.fit\.steps: the recipe has no stage 'trian'.*'train'",
    ),
    "unknown setting": (
        BASE + "set:\n  train.fit.step: 1\n",
        r"^r\.yaml:3: train\.fit\.step: unknown key\. Did you mean 'steps'",
    ),
    "wrong type": (
        BASE + "set:\n  train.fit.steps: one\n",
        r"^r\.yaml:3: train\.fit\.steps: expected a valid integer; found 'one'",
    ),
    "wrong inside": (
        BASE + "set:\n  train.data:\n    use: toy/rows\n    row: 1\n",
        r"^r\.yaml:5: train\.data\.row: unknown key",
    ),
    "plain value": (
        BASE + "set: {train.fit.steps.a: 1}\n",
        r"^r\.yaml:2: set: train\.fit\.steps\.a: 'a' lies inside a plain value",
    ),
    "past the end": (BASE + "set: {measure.evaluators.3: toy/error}\n", r"3 is not one of the 1 entries of the list"),
    "empty part": (BASE + "set: {train..fit: 1}\n", r"^r\.yaml:2: set: train\.\.fit: the key 'train\.\.fit' has an empty part"),
    "too deep": (BASE + f"set: {{train{'.a' * 60}: 1}}\n", r"more than 50 parts"),
    "too many": (
        BASE + "set:\n" + "".join(f"  train.a{i}: 1\n" for i in range(1001)),
        r"^r\.yaml:2: set: more than 1000 entries",
    ),
    "list for set": (BASE + "set: [train.fit.steps]\n", r"^r\.yaml:2: set: expected a mapping such as"),
    "unknown key": (BASE + "sets: {}\n", r"^r\.yaml:2: sets: unknown key\. Did you mean 'set'"),
    "base is no text": ("base: [a]\n", r"^r\.yaml:1: base: expected the address of a recipe, or a file in the same folder"),
    "stages beside a base": (BASE + "stages: []\n", r"^r\.yaml:1: base: this recipe has stages of its own; write either"),
    "no such address": ("base: toy/tyni\n", r"^r\.yaml:1: base: There is no recipe 'toy/tyni'\. Did you mean 'toy/tiny'"),
    "no such file": ("base: arms.yaml\n", r"^r\.yaml:1: base: there is no file arms\.yaml"),
    "no such variant": ("base: arm.yaml#lnog\n", r"^arm\.yaml: there is no variant 'lnog'\. Did you mean 'long'"),
    "parent folder": ("base: ../arm.yaml\n", r"^r\.yaml:1: base: '\.\./arm\.yaml' lies outside"),
    "absolute": ("base: /etc/arm.yaml\n", r"^r\.yaml:1: base: .* lies outside of this recipe's folder"),
    "itself": ("base: r.yaml\n", r"^r\.yaml:1: base: leads back to where it came from: r\.yaml -> r\.yaml\."),
    "circle": ("base: b.yaml\n", r"^b\.yaml:1: base: leads back to where it came from: r\.yaml -> b\.yaml -> r\.yaml\."),
    "no recipe": ("base: words.yaml\n", r"^r\.yaml:1: base: it holds no recipe"),
    "fault in the base": ("base: bad.yaml\n", r"^bad\.yaml:2: stages: expected a list of at least one stage"),
    "table is a list": (
        ARM.partition("variants")[0] + "variants: [a]\n",
        r"^r\.yaml:16: variants: expected a mapping of names",
    ),
    "row is a list": (ARM + "  odd: []\n", r"^r\.yaml:22: variants\.odd: expected a mapping with set"),
    "unknown key of a row": (
        ARM + "  odd: {sets: {}}\n",
        r"^r\.yaml:22: variants\.odd\.sets: unknown key\. Did you mean 'set'",
    ),
    "stage like none": (
        ARM.replace("    use: core/evaluate\n    model: {from: train}\n    evaluators: [toy/error]", "    base: trian"),
        r"^r\.yaml:13: base: no earlier stage is named 'trian'.*'train'",
    ),
    "stage like a list": (
        ARM.replace("    use: core/evaluate\n    model: {from: train}\n    evaluators: [toy/error]", "    base: [train]"),
        r"^r\.yaml:13: base: no earlier stage is named \['train'\]",
    ),
    "stage like a later one": (
        ARM.replace("    use: core/fit\n    data", "    base: measure\n    data"),
        r"stages\.0\.data: unknown key",
    ),
}
MORE = MappingProxyType({"b_yaml": "base: r.yaml\n", "words_yaml": "hello", "bad_yaml": "seed: 1\nstages: 3\n"})


@pytest.mark.parametrize("name", FAULTS)
def test_fault_of_a_base_is_told_with_its_place(name, fault):
    text, message = FAULTS[name]
    assert re.search(message, fault(text, **MORE))


def test_unknown_plugin_of_a_base_keeps_its_exit_code(fault):
    assert "r.yaml:1: base: No plugin named 'nope'" in fault("base: nope/mini\n", kind=PluginError)


def test_chain_of_bases_is_bounded(fault):
    files = {f"c{i}_yaml": f"base: c{i + 1}.yaml\n" for i in range(12)}
    assert re.search(
        r"^c7\.yaml:1: base: more than 8 bases, .*r\.yaml -> c0\.yaml -> c1\.yaml", fault("base: c0.yaml\n", **files)
    )


def test_stages_written_out_are_bounded(fault, monkeypatch):
    monkeypatch.setattr(expanding, "NODE_LIMIT", 100)
    like = "".join(f"  - {{name: s{i}, base: a}}\n" for i in range(5))
    message = fault(f"stages:\n  - name: a\n    use: core/fit\n    data: [{', '.join(['1'] * 30)}]\n{like}")
    assert message == "r.yaml:6: base: more than 100 values after writing the stages out."


@pytest.mark.parametrize("address", ["arm.yaml#wide", "r.yaml"])
def test_recipe_written_out_runs_as_it_is(address, load, tmp_path):
    expected = load("# mine\nbase: arm.yaml\nset: {train.fit.steps: 7, train.fit.learning_rate: 1e-5}\n", start=address)
    (tmp_path / "whole.yaml").write_text(written_out(str(tmp_path / address), installed()))
    assert locked_values(load_recipe(str(tmp_path / "whole.yaml"))) == locked_values(expected)


def test_recipe_without_a_base_is_printed_with_its_comments():
    text = written_out("toy/tiny", installed())
    assert text == installed().recipe("toy/tiny")[1].read_text()


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """A registry with a plugin `tables`, whose recipes are rows of files in a folder below its recipes."""
    folder = tmp_path / "tables_of_the_test" / "recipes" / "paper"
    folder.mkdir(parents=True)
    (folder / "arm.yaml").write_text(ARM)
    (folder / "grid.yaml").write_text(
        "base: arm.yaml\nset: {train.fit.steps: 7}\nvariants:\n  wide: {base: arm.yaml#wide}\n  odd: {}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    recipes = [Recipe(row, "S.", f"recipes/paper/grid.yaml#{row}") for row in ("wide", "odd", "none")]
    plugin = Plugin(
        "tables", "S.", "1.1", recipes=(*recipes, Recipe("grid", "S.", "recipes/paper/grid.yaml")), package=folder.parts[-3]
    )
    own = PluginState("tables", "omnitrain-tables", "1", "ok", plugin=plugin)
    return Registry([*installed().states, own])


def test_recipe_of_a_plugin_may_be_a_row_of_a_table(tables):
    wide, odd = load_recipe("tables/wide", registry=tables), load_recipe("tables/odd", registry=tables)
    assert (wide.address, wide.stage("train").config.model.config.width, wide.seed) == ("tables/wide", 16, 4)
    assert (odd.stage("train").config.model.config.width, odd.stage("train").config.fit.steps) == (8, 7)
    assert str(odd.origins["stages", 0, "fit", "learning_rate"]) == "tables_of_the_test:recipes/paper/arm.yaml:11"
    assert str(odd.origins["stages", 0, "fit", "steps"]) == "tables/odd:2"
    assert locked_values(load_recipe("tables/grid#odd", registry=tables)) == locked_values(odd)
    with pytest.raises(UsageError, match=r"tables/none: there is no variant 'none'\. Known: odd, wide"):
        load_recipe("tables/none", registry=tables)
