"""Recipes are read without YAML's traps, checked before anything runs, and every mistake is named with its place."""

import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitrain.errors import OmnitrainError, PluginError, UsageError, nearest
from omnitrain.plugins import installed
from omnitrain.recipes import fingerprint, load_recipe, lock_text, locked_values, plain, resolving, uses
from omnitrain.recipes.reading import NODE_LIMIT, read_file, read_text, read_value, scalar
from omnitrain.recipes.schema import component_schema, recipe_schema

GOOD = """\
summary: A test.
seed: 3
stages:
  - name: train
    use: core/fit
    data: {use: toy/rows, rows: 20}
    model: toy/net
    objective:
      use: toy/square
    fit:
      steps: 5
      learning_rate: 1e-2
  - name: measure
    use: core/evaluate
    model: {from: train}
    evaluators: [toy/error]
"""


@pytest.fixture
def load(tmp_path):
    """Check a recipe given as text."""

    def load(text, *overrides):
        path = tmp_path / "r.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_recipe(str(path), list(overrides))

    return load


@pytest.fixture
def fault(load):
    """Return the message of a recipe that is refused, without its folder."""

    def fault(text, *overrides, kind=UsageError):
        with pytest.raises(kind) as caught:
            load(text, *overrides)
        return re.sub(r"\S*/r\.yaml", "r.yaml", str(caught.value))

    return fault


def change(old, new):
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


def test_good_recipe_is_resolved_with_every_default(load):
    recipe = load(GOOD)
    assert (recipe.seed, recipe.summary) == (3, "A test.")
    assert [stage.name for stage in recipe.stages] == ["train", "measure"]
    config = recipe.stage("train").config
    assert config.fit.learning_rate == 0.01
    assert config.data.config.rows == 20
    assert config.model.config.width == 8
    assert [use.use or use.source for _, use in uses(config)] == ["toy/rows", "toy/net", "toy/square"]
    assert plain(recipe.stage("measure").config)["evaluators"] == [
        {"use": "toy/error", "slow_s": 0.0, "needs_split": "", "odd": ""}
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4), ("1E5", 1e5), ("1.5", 1.5), (".5", 0.5), ("5.", 5.0), ("-3", -3), ("1_000", 1000), ("0", 0),
        ("on", "on"), ("off", "off"), ("yes", "yes"), ("no", "no"), ("y", "y"), ("NO", "NO"), ("010", "010"),
        ("0x1F", "0x1F"), ("12:30:00", "12:30:00"), ("2024-01-01", "2024-01-01"), ("1.2.3", "1.2.3"), ("e5", "e5"),
        ("true", True), ("False", False), ("null", None), ("~", None), ("", None), (".inf", float("inf")),
        ("=", "="), ("1e", "1e"), ("+", "+"), ("_1", "_1"), ("nan", "nan"),
    ],
)  # fmt: skip
def test_plain_scalars_mean_what_they_look_like(text, value):
    found = read_text(f"- {text}", "x").value[0]
    assert type(found) is type(value)
    assert found == value


def test_quoted_scalars_are_text():
    assert read_text("- '1e-4'\n- \"true\"\n- '~'", "x").value == ["1e-4", "true", "~"]


@given(value=st.floats(allow_nan=False) | st.integers(-(10**30), 10**30) | st.booleans())
def test_numbers_are_read_back_as_they_are_printed(value):
    text = repr(value).replace("inf", ".inf")
    found = scalar(text)
    assert type(found) is type(value)
    assert found == value


@pytest.mark.parametrize(
    "text", [GOOD.replace("\n", "\r\n"), "\ufeff" + GOOD, GOOD + "\n\n# a comment", "---\n" + GOOD + "...\n"]
)
def test_line_ends_marks_and_comments_do_not_matter(text, load):
    assert fingerprint(locked_values(load(text))) == fingerprint(locked_values(load(GOOD)))


FAULTS = {
    "empty file": ("", r"recipe: expected a mapping with summary, seed, stages; found nothing"),
    "comment only": ("# nothing\n", r"found nothing"),
    "a list": ("- 1", r"r\.yaml:1: recipe: expected a mapping .* found a list"),
    "a word": ("hello", r"found 'hello'"),
    "no stages": ("summary: x", r"stages: expected a list of at least one stage; found nothing"),
    "empty stages": ("stages: []", r"r\.yaml:1: stages: expected a list of at least one stage"),
    "stage is a word": ("stages: [hello]", r"r\.yaml:1: stages\.0: expected a mapping with name, use"),
    "unknown top key": (change("summary:", "sumary:"), r"r\.yaml:1: sumary: unknown key\. Did you mean 'summary'\?"),
    "unknown key": (
        change("learning_rate", "learning_rat"),
        r"r\.yaml:12: .*learning_rat: unknown key\. Did you mean 'learning_rate'\?",
    ),
    "unknown key of a component": (
        change("rows: 20", "row: 20"),
        r"r\.yaml:6: train\.data\.row: unknown key\. Did you mean 'rows'\?",
    ),
    "unknown component": (
        change("toy/rows", "toy/row"),
        r"r\.yaml:6: .*There is no data 'toy/row'\. Did you mean 'toy/rows'\?",
    ),
    "component of another kind": (change("model: toy/net", "model: toy/rows"), r"r\.yaml:7: .*There is no model 'toy/rows'"),
    "component without a plugin": (change("toy/rows", "rows"), r"'rows' is not a component; write 'plugin/name'.*toy/rows"),
    "unknown stage component": (
        change("core/fit", "core/fitt"),
        r"r\.yaml:5: .*There is no stage 'core/fitt'\. Did you mean 'core/fit'",
    ),
    "missing key": (change("      steps: 5\n", ""), r"r\.yaml:1\d: train\.fit\.steps: is required and not given"),
    "missing component": (change("    model: toy/net\n", ""), r"train\.model: is required"),
    "text for a number": (
        change("steps: 5", "steps: five"),
        r"r\.yaml:11: train\.fit\.steps: expected a valid integer; found 'five'",
    ),
    "quoted number": (change("steps: 5", "steps: '5'"), r"r\.yaml:11: .*expected a valid integer; found '5'"),
    "fraction for a whole number": (change("steps: 5", "steps: 5.5"), r"expected a valid integer.*; found 5\.5"),
    "truth for a number": (change("steps: 5", "steps: true"), r"expected a valid integer; found True"),
    "nothing for a number": (change("steps: 5", "steps:"), r"r\.yaml:11: .*expected a valid integer; found nothing"),
    "list for a number": (change("steps: 5", "steps: [5]"), r"found a list"),
    "not a number": (change("1e-2", ".nan"), r"r\.yaml:12: .*learning_rate: expected a finite number"),
    "infinity": (change("1e-2", ".inf"), r"r\.yaml:12: .*learning_rate: expected a finite number"),
    "too large for a float": (change("1e-2", "1e999"), r"r\.yaml:12: .*finite number"),
    "negative": (change("1e-2", "-1e-2"), r"r\.yaml:12: .*expected greater than 0; found -0\.01"),
    "zero": (change("1e-2", "0.0"), r"expected greater than 0; found 0\.0"),
    "not one of the choices": (
        change("rows: 20", "form: maps"),
        r"r\.yaml:6: .*form: expected 'map', 'iterable', 'stream', 'gather' or 'rounds'; found 'maps'",
    ),
    "negative seed": (change("seed: 3", "seed: -1"), r"r\.yaml:2: seed: expected a whole number from 0 to 2\^63 - 1; found -1"),
    "seed too large": (change("seed: 3", f"seed: {2**63}"), r"r\.yaml:2: seed: expected a whole number"),
    "seed is true": (change("seed: 3", "seed: true"), r"seed: expected a whole number.*found True"),
    "summary is a list": (change("A test.", "[a]"), r"r\.yaml:1: summary: expected text; found a list"),
    "stage name with a path": (change("name: train", "name: ../train"), r"r\.yaml:4: stages\.0\.name: expected a short name"),
    "stage name ends with a line": (
        change("name: train", 'name: "train\\n"'),
        r"r\.yaml:4: stages\.0\.name: expected a short name",
    ),
    "stage name twice": (change("name: measure", "name: train"), r"r\.yaml:13: stages\.1\.name: two stages are named 'train'"),
    "no stage name": (change("- name: measure\n    use", "- use"), r"stages\.1\.name: expected a short name.*found nothing"),
    "from a later stage": (
        change("from: train", "from: trian"),
        r"r\.yaml:15: .*no earlier stage is named 'trian'\. Did you mean 'train'",
    ),
    "from an artifact that is not made": (
        change("from: train", "from: train/ema"),
        r"r\.yaml:15: .*stage 'train' leaves no artifact 'ema'; it leaves model \(model\)",
    ),
    "from beside the run": (
        change("from: train", "from: train/../../etc"),
        r"r\.yaml:15: measure\.model\.from: '\.\./\.\./etc' is no name of an artifact; write 'from: train'",
    ),
    "unknown key beside from": (
        change("from: train", "from: train, widht: 3"),
        r"r\.yaml:15: measure\.model\.widht: unknown key\. Did you mean 'width'",
    ),
    "wrong type beside from": (change("from: train", "from: train, width: wide"), r"measure\.model\.width: .*'wide'"),
    "nan beside from": (change("from: train", "from: train, dropout: .nan"), r"measure\.model\.dropout: .*nan"),
    "use and from": (
        change("from: train", "from: train, use: toy/net"),
        r"r\.yaml:15: .*write either 'use: plugin/name' or 'from: stage'",
    ),
    "neither use nor from": (change("from: train", "width: 3"), r"write either 'use: plugin/name' or 'from: stage'"),
    "key twice": (
        change("      steps: 5\n", "      steps: 5\n      steps: 6\n"),
        r"r\.yaml:12: key 'steps' is written twice; the first is in line 11",
    ),
    "tab": (change("    use: core/fit", "\tuse: core/fit"), r"r\.yaml:5: not valid YAML"),
    "open bracket": (change("[toy/error]", "[toy/error"), r"r\.yaml:1\d: not valid YAML"),
    "two documents": (GOOD + "---\n" + GOOD, r"r\.yaml:17: not valid YAML"),
    "unknown alias": (change("steps: 5", "steps: *five"), r"r\.yaml:11: not valid YAML: found undefined alias"),
    "object": (
        change("A test.", "!!python/object/apply:os.system [ls]"),
        r"r\.yaml:1: tag .*python/object/apply:os\.system' is not allowed",
    ),
    "own tag": (change("A test.", "!run ls"), r"r\.yaml:1: tag '!run' is not allowed"),
    "bytes": (change("A test.", "!!binary aGVsbG8="), r"tag .*binary' is not allowed"),
    "key that is no word": (change("summary:", "? [a]\n:"), r"r\.yaml:1: a key must be a plain word"),
    "control character": (change("A test.", "A\x00test."), r"r\.yaml:1: not valid YAML: the character '\\x00' is not allowed"),
    "half a pair": (change("A test.", '"\\ud83d"'), r"r\.yaml:1: half of a surrogate pair"),
    "half a pair in a key": (change("summary:", '"\\udc00":'), r"r\.yaml:1: half of a surrogate pair"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_mistake_is_named_with_file_line_and_key(name, fault):
    text, message = FAULTS[name]
    found = fault(text)
    assert re.search(message, found), found
    assert found.removeprefix("2 problems:\n").startswith("r.yaml")


def test_all_mistakes_are_told_at_once(fault):
    text = GOOD.replace("rows: 20", "row: 20").replace("steps: 5", "step: 5").replace("seed: 3", "seed: x")
    found = fault(text)
    assert found.startswith("4 problems:")
    for place in ("r.yaml:2: seed", "data.row", "fit.step:", "fit.steps: is required"):
        assert place in found


def test_component_of_a_plugin_that_is_not_installed_says_what_to_install(fault):
    found = fault(change("toy/rows", "ul3/denoising"), kind=OmnitrainError)
    assert "ul3/denoising" in found


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", GOOD.encode("utf-16"), b"summary: caf\xe9\nstages: []"])
def test_other_encodings_are_named_with_the_line(data, fault):
    assert re.search(r"r\.yaml:1: not (UTF-8|valid YAML)", fault(data))


def test_alias_bomb_is_refused_quickly(fault):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    assert f"more than {NODE_LIMIT} values" in fault("\n".join(lines))


def test_alias_that_holds_itself_is_refused(fault):
    assert "nested more than 50 levels" in fault("stages: &a [*a]")


def test_deep_nesting_is_refused(fault):
    assert "nested" in fault("stages: " + "[" * 5000 + "]" * 5000)
    assert "nested" in fault("stages: " + "[" * 60 + "]" * 60)


def test_plain_aliases_work(load):
    recipe = load(change("steps: 5", "steps: &n 5\n      batch_size: *n"))
    assert recipe.stage("train").config.fit.batch_size == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stages:\n" + "- a\n" * 240_000, r"r\.yaml:19999: more than 20000 values"),
        ("".join(f"k{i}: 1\n" for i in range(45_000)), r"r\.yaml:1000\d: more than 20000 values"),
        ("[" * 5_000, r"r\.yaml:1: nested more than 50 levels"),
        ("stages: [" + "{a: 1}, " * 15_000 + "]", r"r\.yaml:1: more than 20000 values"),
        ("- " * 5_000, r"r\.yaml:1: nested more than 50 levels"),
    ],
)
def test_what_is_too_much_is_refused_before_it_is_read_to_its_end(text, message, fault, monkeypatch):
    def composed(*arguments, **options):
        raise AssertionError("the whole file was composed")

    monkeypatch.setattr(yaml, "compose", composed)
    assert re.match(message, fault(text))


def test_first_problems_are_shown_and_the_others_counted(fault, monkeypatch):
    asked = []
    monkeypatch.setattr(
        resolving, "nearest", lambda name, known, real=resolving.nearest: asked.append(name) or real(name, known)
    )
    lines = fault(GOOD + "".join(f"k{i}: 1\n" for i in range(500))).splitlines()
    assert lines[0] == "500 problems:"
    assert lines[-1] == "and 480 more."
    assert len(lines) == 22
    assert len(asked) == 20
    asked.clear()
    unknown = "".join(f"    k{i}: 1\n" for i in range(500))
    lines = fault(GOOD.replace("  - name: train\n", f"  - name: train\n{unknown}")).splitlines()
    assert lines[-1].startswith("and ")
    assert len(lines) == 22
    assert len(asked) < 25


def test_looking_for_more_ends_once_there_is_enough_to_mend(fault):
    stages = "".join(f"- {{name: s{i}, use: toy/nothing}}\n" for i in range(60))
    lines = fault(f"stages:\n{stages}").splitlines()
    assert (lines[0], lines[-1], len(lines)) == ("at least 21 problems:", "and at least 1 more.", 22)


def test_numbers_and_devices_that_no_run_can_have_are_refused_with_their_keys(fault):
    said = fault(change("steps: 5", f"steps: {2**70}"), f"train.data.rows={-(2**70)}")
    assert said.startswith("2 problems:\n")
    assert "train.fit.steps: expected a whole number between -2^63 and 2^63; found 1180591620717411303424." in said
    assert "train.data.rows: expected a whole number between" in said
    assert "train.fit.batch_size: expected less than or equal to 2147483647" in fault(GOOD, f"train.fit.batch_size={2**40}")
    assert "train.fit.device: the device 'meta' holds shapes only" in fault(GOOD, "train.fit.device=meta:0")


def test_search_for_the_nearest_name_is_bounded():
    names = [f"name-{i}" for i in range(100_000)]
    assert nearest("x" * 1_000_000, ["xyz"]) == "Known: xyz."
    assert nearest("name-1", names).startswith("Did you mean 'name-1'")


@pytest.mark.parametrize("ends", ["\u2028", "\u2029", "\x85", "\u2028\u2029\x85"])
def test_lines_are_those_of_an_editor_whatever_yaml_counts(ends, fault, load):
    wrong = GOOD.replace("summary:", f"summary: 'a{ends}b' # {ends}\nsummry:")
    line = wrong[: wrong.index("summry")].count("\n") + 1
    assert f"r.yaml:{line}: summry: unknown key" in fault(wrong)
    assert "r.yaml:2: not valid YAML" in fault(f"summary: 'a{ends}b'\nstages: ]")


def test_large_file_is_refused_unread(tmp_path):
    path = tmp_path / "large.yaml"
    with open(path, "wb") as file:
        file.truncate(10_000_000)
    with pytest.raises(UsageError, match="larger than 1 MB"):
        read_file(path)


@pytest.mark.parametrize(("name", "message"), [("none.yaml", "there is no such file"), ("folder.yaml", "is a folder")])
def test_file_that_is_none_is_named(name, message, tmp_path):
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(UsageError, match=message):
        load_recipe(str(tmp_path / name))


def test_unknown_recipes_and_plugins_are_answered_with_near_names():
    with pytest.raises(UsageError, match=r"no recipe 'toy/tinny'\. Did you mean 'toy/tiny'"):
        load_recipe("toy/tinny")
    with pytest.raises(PluginError, match="Did you mean 'toy'"):
        load_recipe("toyy")
    assert load_recipe("toy").address == "toy/mini"


def test_overrides_replace_and_reach_into_components(load):
    recipe = load(
        GOOD,
        "train.fit.steps=7",
        "train.model.width=3",
        "seed=9",
        "train.data={use: toy/rows, rows: 4}",
        "train.fit.compile=true",
    )
    config = recipe.stage("train").config
    assert (config.fit.steps, config.model.config.width, recipe.seed, config.data.config.rows) == (7, 3, 9, 4)
    assert config.fit.compile is True
    assert load(GOOD, "measure.evaluators.0.slow_s=0.5").stage("measure").config.evaluators[0].config.slow_s == 0.5
    assert load(GOOD, "summary=").summary == ""


OVERRIDES = {
    "train.fit.steps": "is not an override",
    "=5": "is not an override",
    "trian.fit.steps=5": "no stage 'trian'. Did you mean 'train'?",
    "train..steps=5": "empty part",
    "train.fit.steps.x=5": "lies inside a plain value",
    "train.fit.step=5": "command line: train.fit.step=5: train.fit.step: unknown key. Did you mean 'steps'?",
    "train.fit.steps=five": "command line: train.fit.steps=five: train.fit.steps: expected a valid integer",
    "train.data={use: toy/rows, rows: x}": "command line: train.data={use: toy/rows, rows: x}: train.data.rows: expected",
    "train.fit.steps=[": "command line: train.fit.steps=[:1: not valid YAML",
    "train.fit.steps=!!python/object:os.system x": "is not allowed",
    "measure.evaluators.7=toy/error": "not one of the 1 entries",
    "measure.evaluators.²=toy/error": "not one of the 1 entries",
    "stages=5": "expected a list of at least one stage; found 5",
    "stages.0=5": "stages.0: expected a mapping",
    "seed=1e3": "expected a whole number from 0",
    "seed.x=1": "no stage 'seed'",
}


@pytest.mark.parametrize("override", OVERRIDES)
def test_wrong_override_is_named(override, fault):
    assert OVERRIDES[override] in fault(GOOD, override)


def test_artifact_that_settings_make_can_be_taken(load):
    recipe = load(GOOD.replace("from: train", "from: train/ema"), "train.fit.ema_decay=0.9")
    assert recipe.stage("measure").config.model.artifact == "ema"


def test_data_behind_a_stage_whose_settings_are_wrong_names_those_settings(fault):
    chain = """
stages:
  - {name: first, use: core/fit, data: toy/rows, model: toy/net, objective: toy/square, fit: {steps: many}}
  - {name: second, use: core/evaluate, model: {from: first}, evaluators: [toy/error]}
  - {name: third, use: core/evaluate, data: {from: second, rows: 3}, model: {from: first}, evaluators: [toy/error]}
"""
    assert "first.fit.steps" in fault(chain)


def test_lock_file_is_the_same_recipe_and_knows_where_values_came_from(load):
    recipe = load(GOOD, "train.fit.steps=7")
    text = lock_text(recipe)
    again = load(text)
    assert locked_values(again) == locked_values(recipe)
    origins = yaml.safe_load(
        "\n".join(line[2:] for line in text.splitlines() if line.startswith("# ") and "complete" not in line)
    )
    origins = origins["lock"]["origins"]
    assert origins["stages.0.fit.steps"] == "command line: train.fit.steps=7"
    assert origins["stages.0.data.rows"].endswith("r.yaml:6")
    assert origins["stages.0.fit.batch_size"] == "default"


tricky = st.sampled_from(
    ["1e-4", "12e03", "on", "~", "null", "1_0", "010", "- x", "a: b", "# x", "\n", " ", "é\u2028\x85", "0x1", ".5", "+1"]
)


@settings(deadline=None)
@given(
    text=tricky | st.text(st.characters(exclude_categories=["Cs", "Cc"])) | st.from_regex(r"[-+.0-9eE_]{1,8}", fullmatch=True)
)
def test_any_text_survives_the_lock_file(text, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "lock.yaml"
    recipe = load_recipe("toy/tiny", registry=installed())
    changed = type(recipe)(**{**recipe.__dict__, "summary": text})
    path.write_text(lock_text(changed), encoding="utf-8", newline="")
    assert load_recipe(str(path), registry=installed()).summary == text


def test_fingerprints_do_not_depend_on_the_order_of_keys():
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 1.5})


def test_value_of_an_override_is_read_like_a_recipe():
    assert read_value("1e-4", "x") == 1e-4
    assert read_value("{use: a/b}", "x") == {"use": "a/b"}
    assert read_value("", "x") == ""


def test_schema_of_a_recipe_holds_its_components_and_refuses_other_keys():
    recipe = load_recipe("toy/tiny")
    schema = recipe_schema(recipe, installed())
    assert schema["additionalProperties"] is False
    stages = schema["properties"]["stages"]["items"]["anyOf"]
    assert [stage["properties"].get("use", {}).get("const") for stage in stages] == ["core/fit", "core/evaluate", None]
    assert stages[2]["required"] == ["name", "base"]
    assert schema["anyOf"] == [{"required": [key]} for key in ("stages", "base", "variants")]
    rows = component_schema("toy/rows", "data", installed())
    assert rows["properties"]["rows"]["description"] == "How many."
    assert rows["additionalProperties"] is False
