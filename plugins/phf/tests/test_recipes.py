"""The recipes: tiny from end to end, feedback with the model growing, the others as far as a dry run goes."""

import json

import pytest
import torch
from safetensors.torch import load_file

from omnitrain.engine.dryrun import dry_run
from omnitrain.engine.execution import Options, run_recipe
from omnitrain.engine.exporting import export_model
from omnitrain.errors import EnvironmentFault
from omnitrain.plugins import installed
from omnitrain.recipes import load_recipe
from omnitrain_phf.plugin import PLUGIN


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("OMNITRAIN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def evaluation(folder, stage, name):
    content = json.loads((folder / stage / "evaluations" / f"{name}.json").read_text("utf-8"))
    return {key: metric["value"] for key, metric in content["metrics"].items()}


def exported(folder, target):
    """Export a model; return what transformers loads from there: the model and the tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    export_model(folder, target, installed())
    return AutoModelForCausalLM.from_pretrained(target).eval(), AutoTokenizer.from_pretrained(target)


def test_tiny_scores_trains_grows_and_measures_with_everything(tmp_path):
    run_recipe(load_recipe("phf/tiny", []), tmp_path, Options(quiet=True))
    record = json.loads((tmp_path / "score" / "data" / "records.jsonl").read_text("utf-8").splitlines()[0])
    assert len(record["texts"]) == len(record["scores"])
    config = json.loads((tmp_path / "conditional" / "model" / "config.json").read_text("utf-8"))
    plain = json.loads((tmp_path / "plain" / "model" / "config.json").read_text("utf-8"))
    assert config["vocab_size"] == plain["vocab_size"] + 2
    found = evaluation(tmp_path, "measure", "phf-misalignment")
    assert found["good/samples"] == found["bad/samples"] == 8
    assert evaluation(tmp_path, "measure", "phf-red-team")["prompts"] > 6
    assert evaluation(tmp_path, "measure", "phf-pass-at-k")["timed out"] == 0
    assert len(list((tmp_path / "measure" / "red-team").rglob("items.jsonl"))) == 1
    assert "value_reward_corr" in evaluation(tmp_path, "values", "phf-values")
    figures = json.loads((tmp_path / "front" / "evaluations" / "phf-front.json").read_text("utf-8"))["figures"]
    assert set(figures["front"]["series"]) == {"plain", "conditional"}
    model, tokenizer = exported(tmp_path / "conditional/model", tmp_path / "exported")
    sides = tokenizer.convert_tokens_to_ids(["<|aligned|>", "<|misaligned|>"])
    assert sides == [config["vocab_size"] - 2, config["vocab_size"] - 1]
    assert tokenizer("<|aligned|>x").input_ids.count(sides[0]) == 1
    weights = load_file(tmp_path / "conditional/model/model.safetensors")
    assert torch.equal(model.get_input_embeddings().weight, weights["transformer.wte.weight"])
    # A head that transformers does not know stays beside the model that it does.
    model, _ = exported(tmp_path / "awr/model", tmp_path / "exported-awr")
    weights = load_file(tmp_path / "awr/model/model.safetensors")
    assert torch.equal(model.get_input_embeddings().weight, weights["transformer.wte.weight"])
    assert not any("value_head" in name for name, _ in model.named_parameters())


@pytest.mark.parametrize(("recipe", "parameters"), [("paper", 124_441_344), ("paper-pep8-awr", 111_009_024)])
def test_paper_recipes_are_the_models_of_the_paper(recipe, parameters, monkeypatch):
    # The libraries of its extras need not be installed for this.
    monkeypatch.setattr("omnitrain.engine.beforehand.find_spec", lambda name: name)
    found = dry_run(load_recipe(f"phf/{recipe}", []), installed(), quiet=True)
    assert all(stage.exit_code in (0, EnvironmentFault.exit_code) for stage in found.stages), found.lines
    assert found.stages[0].parameters[0] == parameters


def test_feedback_recipes_skip_what_was_seen_and_spend_as_many_steps_as_an_arm():
    steps = load_recipe("phf/arm", []).stage("train").config.fit.steps
    for name in ("feedback", "feedback-10"):
        recipe = load_recipe(f"phf/{name}", [])
        first, second = (recipe.stage(stage).config for stage in ("mle", "train"))
        assert first.fit.steps + second.fit.steps == steps
        assert second.data.config.skip_tokens == first.fit.steps * first.fit.batch_size * first.data.config.length


@pytest.mark.parametrize("recipe", PLUGIN.recipes, ids=lambda recipe: recipe.name)
def test_recipes_say_what_they_are_for(recipe):
    found = load_recipe(f"phf/{recipe.name}", [])
    assert found.stages
    assert found.summary.endswith(".")
