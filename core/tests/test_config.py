"""Configs are strict: what is not asked for is refused, and nothing is turned into something else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from omnitrain.api import Config, UseArtifact, UseData, UseModel
from omnitrain.engine.settings import EvaluateConfig, FitConfig, FitSettings, OptimiserConfig
from omnitrain.recipes import uses


class Example(Config):
    """An example."""

    rate: float = Field(default=0.5, gt=0)
    """How fast."""
    count: int = 1
    """How many."""
    sizes: tuple[int, ...] = ()
    """How large."""
    data: UseData | None = None
    """What it reads."""
    more: dict[str, UseData] = Field(default_factory=dict)
    """What else it reads."""


@pytest.mark.parametrize(
    "settings",
    [
        {"unknown": 1},
        {"rate": "0.5"},
        {"rate": float("nan")},
        {"rate": float("inf")},
        {"rate": 0.0},
        {"rate": True},
        {"count": 1.0},
        {"count": "1"},
        {"count": True},
        {"count": None},
        {"sizes": [1.5]},
        {"data": 5},
        {"data": {}},
        {"data": {"use": "a/b", "from": "c"}},
    ],
)
def test_anything_but_the_declared_type_is_refused(settings):
    with pytest.raises(ValidationError):
        Example(**settings)


def test_whole_numbers_are_accepted_for_fractions():
    assert Example(rate=2).rate == 2.0


def test_configs_can_not_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Example().rate = 1.0


def test_docstrings_of_fields_are_their_descriptions():
    properties = Example.model_json_schema()["properties"]
    assert properties["rate"]["description"] == "How fast."


@pytest.mark.parametrize("config", [FitConfig, EvaluateConfig, FitSettings, OptimiserConfig])
def test_every_setting_of_the_core_is_described(config):
    for name, field in config.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_component_is_given_by_name_or_with_settings_or_from_a_stage():
    assert Example(data="a/b").data.use == "a/b"
    assert Example(data={"use": "a/b", "x": 1}).data.raw == {"x": 1}
    assert Example(data={"from": "train"}).data.source == "train"


def test_components_are_found_in_nested_places():
    example = Example(data="a/b", more={"one": UseData(use="c/d"), "two": UseData(**{"from": "train"})})
    assert [(path, use.use or use.source) for path, use in uses(example)] == [
        (("data",), "a/b"),
        (("more", "one"), "c/d"),
        (("more", "two"), "train"),
    ]


def test_unresolved_component_has_no_config():
    with pytest.raises(RuntimeError, match="not resolved"):
        _ = UseData(use="a/b").config


def test_a_component_is_the_same_before_and_after_it_was_resolved():
    written, resolved = UseData(use="a/b", rows=1), UseData(use="a/b", rows=1)
    resolved.resolved(Example())
    assert resolved == written
    assert resolved != UseData(use="a/b", rows=2)
    assert UseData(use="a/b") != UseModel(use="a/b")


@given(betas=st.tuples(st.floats(-2, 2), st.floats(-2, 2)))
def test_betas_are_accepted_where_adam_is_defined(betas):
    defined = all(0 <= b < 1 for b in betas)
    try:
        OptimiserConfig(betas=betas)
    except ValidationError:
        assert not defined
    else:
        assert defined


class UseScores(UseArtifact):
    """An example."""

    product = "scores"
    artifact_kind = "report"


def test_a_source_is_a_stage_and_the_artifact_that_this_kind_of_field_takes_from_it():
    assert [(u.stage, u.artifact) for u in (UseModel(**{"from": "train"}), UseModel(**{"from": "train/ema"}))] == [
        ("train", "model"),
        ("train", "ema"),
    ]
    assert UseScores(**{"from": "measure"}).artifact == "scores"
    assert (UseModel(use="a/b").stage, UseModel(use="a/b").artifact) == (None, None)


@pytest.mark.parametrize("settings", [{"use": "a/b"}, {"from": "a", "rate": 1}, {}])
def test_an_artifact_comes_from_a_stage_and_takes_no_settings(settings):
    with pytest.raises(ValidationError, match="from: stage"):
        UseScores(**settings)
