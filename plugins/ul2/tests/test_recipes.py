"""The recipes: tiny from end to end, the others as far as a dry run goes."""

import importlib.resources
import json

import pytest
import yaml

from omnitrain.engine.dryrun import dry_run
from omnitrain.engine.execution import Options, run_recipe
from omnitrain.errors import EnvironmentFault
from omnitrain.plugins import installed
from omnitrain.recipes import load_recipe
from omnitrain_ul2.plugin import PLUGIN


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("OMNITRAIN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def lines(folder, split):
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines()]
    return [line for line in found if line["split"] == split]


def test_tiny_trains_compares_and_writes_samples(tmp_path):
    run_recipe(load_recipe("ul2/tiny", []), tmp_path, Options(quiet=True))
    losses = [line["loss"] for line in lines(tmp_path, "train") if line["stage"] == "pretrain"]
    assert losses[-1] < losses[0]
    compared = lines(tmp_path, "ul2/compare")[0]
    tasks = [name.removeprefix("ul2/") for name in compared if name.startswith("ul2/") and "regret" not in name]
    assert len(tasks) == 7
    worst = max(compared[f"ul2/{task}"] - min(compared[f"ul2/{task}"], compared[f"span corruption/{task}"]) for task in tasks)
    assert compared["ul2/worst-case regret"] == pytest.approx(worst)
    seen = lines(tmp_path, "ul2/tokens-seen")[-1]
    assert sum(value for name, value in seen.items() if name.endswith("/examples")) == 30 * 8
    samples = json.loads(next((tmp_path / "samples" / "evaluations").glob("*.json")).read_text("utf-8"))
    assert set(samples["samples"]) == {"mode R", "mode X", "mode S"}
    assert (tmp_path / "pretrain" / "model" / "config.json").is_file()


def test_decoder_recipe_fits_together():
    found = dry_run(
        load_recipe("ul2/decoder", ["pretrain.fit.batch_size=2", "pretrain.data.text.max_documents=100"]),
        installed(),
        quiet=True,
    )
    assert found.error is None
    assert found.stages[0].parameters == (984_192, 984_192)
    assert "segment_ids" in found.stages[0].fields
    assert not any(check.problems for check in found.stages)


def test_paper_recipe_is_the_20_b_model():
    found = dry_run(load_recipe("ul2/paper", []), installed(), quiet=True)
    # The library of its text need not be installed for this.
    assert all(stage.exit_code in (0, EnvironmentFault.exit_code) for stage in found.stages), found.lines
    parameters = found.stages[0].parameters[0]
    assert round(parameters / 1e9, 2) == 19.59


@pytest.mark.parametrize("recipe", PLUGIN.recipes, ids=lambda recipe: recipe.name)
def test_recipes_say_what_they_are_for(recipe):
    resolved = load_recipe(f"ul2/{recipe.name}", [])
    assert len(resolved.stages) >= 1
    package, _, path = recipe.path.partition(":")
    content = yaml.safe_load(importlib.resources.files(package).joinpath(path).read_text("utf-8"))
    assert content["summary"].endswith(".")
