"""The recipes: tiny from end to end with everything that is done to a saved composition, the others as a dry run."""

import io
import json
import sys

import pytest
import torch

from omnitrain.api import FinishedRun
from omnitrain.cli import run as main
from omnitrain.engine import scratch_run
from omnitrain.engine.adhoc import find_model, text_generator
from omnitrain.engine.dryrun import dry_run
from omnitrain.engine.execution import Options, run_recipe
from omnitrain.engine.opening import load_saved_model, make_predictor
from omnitrain.errors import UsageError
from omnitrain.plugins import installed
from omnitrain.recipes import load_recipe
from omnitrain_eft.evidence.claims import CLAIMS
from omnitrain_eft.evidence.measures import control, factuality, lora
from omnitrain_eft.plugin import PLUGIN
from omnitrain_testing.finished import finished_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMNITRAIN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        run_recipe(load_recipe("eft/tiny", []), folder, Options(quiet=True))
    return folder


def evaluation(run, name):
    return json.loads((run / "evaluate" / "evaluations" / f"eft-{name}.json").read_text("utf-8"))


def test_grid_shows_every_arm_with_base_rows_and_improvement(run):
    found = evaluation(run, "grid")
    arms = [row[0] for row in found["tables"]["grid"]["rows"]]
    assert arms[:6] == ["small base", "large base", "small fine-tuned", "large fine-tuned", "up-scaled", "down-scaled"]
    assert arms[6:] == ["alpha 0.5", "beta_up 1.5", "delta_top_p 0.9"]
    assert found["metrics"]["large fine-tuned/content kl"]["value"] == pytest.approx(0, abs=1e-6)
    assert all(metric["interval"] for name, metric in found["metrics"].items() if name.endswith(("nll", "improvement")))


def test_frontier_ends_agree_with_single_experts(run):
    metrics = evaluation(run, "frontier")["metrics"]
    assert metrics["up-scaled/lambda 1/helpful"]["value"] < 0
    assert 0 <= metrics["small/monotone share"]["value"] <= 1


def test_shift_maps_are_text_coloured_by_total_variation(run):
    found = evaluation(run, "shift-maps")
    paragraphs = found["figures"]["shift maps"]["paragraphs"]
    assert len(paragraphs) == 2
    for (prompt, role, strength), *reply in paragraphs:
        assert (role, strength) == ("special", None)
        assert prompt.startswith("User: what is")
        assert all(0 <= shift <= 1 for _, _, shift in reply)
    assert "total variation" in found["figures"]["shift maps"]["scale"]
    assert 0 < found["metrics"]["expected acceptance"]["value"] < 1


def test_speculation_and_judges_are_counted(run):
    counted = evaluation(run, "throughput")["metrics"]
    assert counted["speculative 2/large passes a token"]["value"] < 1
    judged = evaluation(run, "judged")["metrics"]
    assert judged["up-scaled/grade unparsable"]["n"] == 4
    assert "up-scaled/factuality" in judged


def test_saved_composition_is_built_again_with_its_weights(run):
    directory = find_model(run / "compose")
    registry = installed()
    with scratch_run(registry) as context:
        model = load_saved_model(directory, context, registry)
        predictor = make_predictor(model, "eft/composition", directory, context, registry)
    for name, stage in (("large", "pretrain-large"), ("small", "pretrain-small"), ("expert-1", "prefer-small")):
        from safetensors.torch import load_file

        saved = load_file(run / stage / "model" / "model.safetensors")
        own = model.members[name].state_dict()
        assert all(torch.equal(own[key], value) for key, value in saved.items())
    plain = predictor.generate_text(["dump", "Path"], max_new_tokens=6, block_size=0)
    assert plain == predictor.generate_text(["dump", "Path"], max_new_tokens=6, block_size=3)
    assert plain != predictor.generate_text(["dump", "Path"], max_new_tokens=6, weights=[-3, -3])
    batch = {"input_ids": torch.tensor([[1, 9, 8]]), "labels": torch.tensor([[9, 8, 7]]), "loss_weights": torch.ones(1, 3)}
    assert predictor.score(batch).shape == (1, 3)


def test_dials_are_settings_of_generate_and_text_is_streamed(run):
    shown = []
    settings = {"max_new_tokens": 6, "alpha": 0.5}
    with text_generator(find_model(run / "compose"), installed(), settings) as answer:
        text = answer(["dump"], lambda number, new: shown.append(new))[0]
    assert len(shown) > 1
    assert text.startswith("".join(shown))
    with (
        pytest.raises(UsageError, match="only one may be turned"),
        text_generator(find_model(run / "compose"), installed(), {"alpha": 2.0, "beta_up": 2.0}) as answer,
    ):
        answer(["dump"])


def test_generate_takes_the_dials_as_flags_and_shows_text_as_it_is_written(run, capsys, monkeypatch):
    words = ["generate", str(run / "compose"), "--prompt", "dump", "--max-new-tokens", "6", "--block-size", "2"]
    texts = {}
    for dials in (["--beta-up", "1.2"], ["--weights", "-3", "--weights", "-3"], ["--alpha=0"]):
        assert main([*words, *dials]) == 0
        texts[dials[0]] = capsys.readouterr().out
    assert texts["--weights"] != texts["--alpha=0"]
    flushed, shown = [], io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(shown, "flush", lambda: flushed.append(shown.getvalue()), raising=False)
        patch.setattr(sys, "stdout", shown)
        assert main([*words, "--alpha=0"]) == 0
    assert shown.getvalue() == texts["--alpha=0"]
    assert len(set(flushed)) > 2
    assert main([*words, "--alpha", "2", "--beta-up", "2"]) == 2
    assert "only one may be turned" in capsys.readouterr().err


def test_claims_read_what_the_recipe_leaves(run, tmp_path):
    grid = FinishedRun(run).metrics("evaluate", "eft/grid")
    runs = {"mini": finished_run(tmp_path, {(stage, "eft/grid"): grid for stage in ("measure", "control")})}
    assert factuality(runs)["up-scaled"] > 0
    assert control(runs)["up-scaled"] == control(runs)["unrelated pair"]
    with pytest.raises(KeyError):
        lora(runs)
    assert {claim.id for claim in CLAIMS} == {"C1", "C2", "C2-control", "C3", "C4", "C5", "C6", "LoRA"}


@pytest.mark.parametrize("recipe", [r.name for r in PLUGIN.recipes if r.name != "tiny"])
def test_other_recipes_fit_together(recipe, monkeypatch, tmp_path_factory):
    monkeypatch.setenv("OMNITRAIN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("OPENAI_API_KEY", "unused")
    resolved = load_recipe(f"eft/{recipe}", [])
    assert resolved.summary.endswith(".")
    found = dry_run(resolved, installed(), quiet=True)
    assert found.error is None
    assert not any(check.problems for check in found.stages)
    if recipe == "paper":
        lines = "\n".join(found.lines)
        assert "  large base: 68,976,648,192 parameters, 128.5 GiB in bfloat16, 64.8 GiB in 8 bit" in lines
        assert "large base in 8 bit 95.1 GiB" in lines
        assert "with large fine-tuned, for evaluation only: 287.3 GiB as set here" in lines
