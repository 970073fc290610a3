"""A plugin's description is short: references are relative to its package, and what follows the layout needs none."""

import pytest

from omnitrain.api import Claim, Command, Component, Contrast, Plugin, Published, Recipe, Variant


def described(*components, name="my-own", **more):
    return Plugin(name, "S.", "1.1", components=components, **more)


@pytest.mark.parametrize(
    ("kind", "name", "config", "build"),
    [
        ("data", "scored-text", "omnitrain_my_own.configs.data:ScoredTextConfig", "omnitrain_my_own.data.scored_text:build"),
        ("model", "t5", "omnitrain_my_own.configs.models:T5Config", "omnitrain_my_own.models.t5:build"),
        ("objective", "mle", "omnitrain_my_own.configs.objectives:MleConfig", "omnitrain_my_own.objectives.mle:build"),
        ("evaluator", "f1", "omnitrain_my_own.configs.evaluators:F1Config", "omnitrain_my_own.evaluators.f1:build"),
        ("stage", "long-run", "omnitrain_my_own.configs.stages:LongRunConfig", "omnitrain_my_own.stages.long_run:long_run"),
    ],
)  # fmt: skip
def test_component_that_follows_the_layout_needs_no_references(kind, name, config, build):
    (found,) = described(Component(kind, name, "S.")).components
    assert (found.config, found.build, found.predictor) == (config, build, None)


def test_kind_that_is_one_module_is_built_there():
    names = (("objective", "long-loss"), ("stage", "long-run"), ("data", "rows"))
    found = described(*(Component(kind, name, "S.") for kind, name in names), modules=("objective", "stage")).components
    assert [component.build.removeprefix("omnitrain_my_own.") for component in found] == [
        "objectives:build_long_loss",
        "stages:long_run",
        "data.rows:build",
    ]


def test_references_with_a_dot_lie_in_the_package_and_others_stay():
    (found,) = described(
        Component("model", "a", "S.", ".configs:A", ".models:build_a", "omnitrain_language.predictor:build_predictor"),
        package="elsewhere.mine",
    ).components
    assert (found.config, found.build) == ("elsewhere.mine.configs:A", "elsewhere.mine.models:build_a")
    assert found.predictor == "omnitrain_language.predictor:build_predictor"


def test_recipes_claims_commands_and_evidence_are_found_from_the_package():
    contrast = Contrast("a", "b", "lower")
    claim = Claim(
        "C1", "S.", {"a": Published(None, "none")}, (Variant("a", "x/mini"),), ".evidence.measures:m", (contrast,), ("c",)
    )
    found = described(
        recipes=(
            Recipe("mini", "S."),
            Recipe("paper", "S.", "recipes/tables/paper.yaml#awr"),
            Recipe("b", "S.", "other:b.yaml"),
        ),
        claims=(claim,),
        commands=(Command("c", "S.", ".command:c"),),
        parity=".evidence.parity:ADAPTERS",
        bench="other.bench:benches",
        golden="golden",
    )
    assert [recipe.path for recipe in found.recipes] == [
        "omnitrain_my_own:recipes/mini.yaml",
        "omnitrain_my_own:recipes/tables/paper.yaml#awr",
        "other:b.yaml",
    ]
    assert found.claims[0].measure == "omnitrain_my_own.evidence.measures:m"
    assert found.commands[0].run == "omnitrain_my_own.command:c"
    assert (found.parity, found.bench) == ("omnitrain_my_own.evidence.parity:ADAPTERS", "other.bench:benches")
    assert (found.golden, found.package) == ("omnitrain_my_own:golden", "omnitrain_my_own")


def test_description_without_evidence_has_none():
    found = described()
    assert (found.parity, found.bench, found.golden) == (None, None, None)
