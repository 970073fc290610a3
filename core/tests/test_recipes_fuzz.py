"""Whatever is done to a recipe, it is either a recipe still or refused in one of the documented ways.

HYPOTHESIS_PROFILE=long tries ten times as many.
"""

import copy
import os
import re

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omnitrain.errors import DataError, PluginError, UsageError
from omnitrain.plugins import installed
from omnitrain.recipes import fingerprint, locked_values, resolve
from omnitrain.recipes.overrides import apply_overrides
from omnitrain.recipes.reading import read_text

BASE = {
    "summary": "A test.",
    "seed": 1,
    "stages": [
        {
            "name": "train",
            "use": "core/fit",
            "data": {"use": "toy/rows", "rows": 9, "nan_at": [1], "noise": "none"},
            "model": {"use": "toy/net", "dropout": 0.1},
            "objective": "toy/square",
            "fit": {"steps": 3, "learning_rate": 0.01, "optimiser": {"name": "sgd", "betas": [0.9, 0.99]}, "early_stop": None},
            "evaluators": [{"use": "toy/error"}],
        },
        {"name": "measure", "use": "core/evaluate", "model": {"from": "train"}, "evaluators": ["toy/error"]},
    ],
}
TEXT = yaml.safe_dump(BASE, sort_keys=False)
WORDS = [
    "use",
    "from",
    "name",
    "train",
    "fit",
    "steps",
    "stages",
    "toy/rows",
    "core/fit",
    "toy/error",
    "x",
    "",
    "__class__",
    "config",
]
PIECES = ["\n", "  ", "- ", ": ", "&a ", "*a", "<<: ", "!!", "!x ", *"[]{}'\"|\t~#%", "---\n", "? "]

long = os.environ.get("HYPOTHESIS_PROFILE") == "long"
more = settings(max_examples=5000 if long else 500, deadline=None, suppress_health_check=list(HealthCheck))

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(10**400), 10**400),
    st.floats(),
    st.sampled_from([float("nan"), float("inf"), -1, 0, 2**63, 2**64, 10**30, 1e308, 1e-320]),
    st.sampled_from(WORDS),
    st.text(max_size=8),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


def accepted_or_refused(text, overrides=()):
    """Check a recipe as the commands do; only the documented errors may come, and they name a place."""
    said = ""
    try:
        recipe = resolve(apply_overrides(read_text(text, "r.yaml"), list(overrides)), "r.yaml", installed())
        assert fingerprint(locked_values(recipe)) == fingerprint(locked_values(recipe))
        return True
    except (UsageError, PluginError, DataError) as error:
        said = str(error)
    named = re.search(r"r\.yaml(:\d+)?: |command line: ", said) or any(repr(o) in said for o in overrides)
    assert named, f"no place in {said}"
    return False


@st.composite
def mutated(draw):
    """The recipe with up to three values replaced, removed, added, renamed or moved."""
    recipe = copy.deepcopy(BASE)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(recipe))
        holder, key = draw(st.sampled_from(places)) if places else (None, None)
        action = draw(st.sampled_from(["replace", "remove", "add", "rename", "double"]))
        if holder is None:
            break
        if action == "replace":
            holder[key] = draw(values)
        elif action == "remove":
            del holder[key]
        elif action == "double" and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        elif isinstance(holder, dict):
            name = draw(st.sampled_from(WORDS) | st.text(max_size=6) | st.just(f"{key}s"))
            holder[name] = holder.pop(key) if action == "rename" else draw(values)
    return recipe


def _places(value):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from _places(inner)


@more
@given(recipe=mutated())
def test_changed_recipe_is_accepted_or_refused(recipe):
    accepted_or_refused(yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True))


@more
@given(data=st.data())
def test_changed_text_is_accepted_or_refused(data):
    text = TEXT
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 12))
        piece = data.draw(st.sampled_from(PIECES) | st.text(max_size=5))
        text = text[:at] + piece + text[at + length :]
    accepted_or_refused(text)


@more
@given(text=st.text(max_size=200))
def test_any_text_is_accepted_or_refused(text):
    accepted_or_refused(text)


@more
@given(
    key=st.sampled_from(
        ["train.fit.steps", "train.data", "train", "seed", "stages", "measure.evaluators.0", "train.fit.optimiser"]
    )
    | st.lists(st.sampled_from(WORDS) | st.text(max_size=4), max_size=4).map(".".join),
    value=values.map(lambda v: yaml.safe_dump(v, default_flow_style=True, width=10**6).removesuffix("\n...\n").strip())
    | st.text(max_size=10),
)
def test_any_override_is_accepted_or_refused(key, value):
    accepted_or_refused(TEXT, [f"{key}={value}"])


def test_the_unchanged_recipe_is_accepted():
    assert accepted_or_refused(TEXT)
