"""The recipes: tiny from end to end with everything that is done to a saved composition, the others as a dry run."""

import json

import pytest
import torch
from click.testing import CliRunner

from omnitrain.engine.adhoc import adhoc_run, find_model, text_generator
from omnitrain.engine.building import load_saved_model, make_predictor
from omnitrain.engine.dryrun import dry_run
from omnitrain.engine.execution import Options, run_recipe
from omnitrain.errors import UsageError
from omnitrain.plugins import installed
from omnitrain.recipes import load_recipe
from omnitrain_eft.claims import CLAIMS
from omnitrain_eft.commands import generate, plan
from omnitrain_eft.measuring import control, factuality, lora
from omnitrain_eft.plugin import PLUGIN


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


def test_shift_maps_are_a_page_and_a_picture(run):
    page = (run / "evaluate" / "shift-maps.html").read_text("utf-8")
    assert page.count("<p>") == 2 + 1
    assert "background:#" in page
    found = evaluation(run, "shift-maps")
    assert found["pictures"]["shift maps"]["text"].startswith("<svg")
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
    with adhoc_run(registry) as context:
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
    settings = {"max_new_tokens": 6, "alpha": 0.5, "on_text": lambda number, text: shown.append(text)}
    with text_generator(find_model(run / "compose"), installed(), settings) as answer:
        text = answer(["dump"])[0]
    assert len(shown) > 1
    assert text.startswith("".join(shown))
    with (
        pytest.raises(UsageError, match="only one may be turned"),
        text_generator(find_model(run / "compose"), installed(), {"alpha": 2.0, "beta_up": 2.0}) as answer,
    ):
        answer(["dump"])


def test_command_has_dials_as_flags(run):
    arguments = [str(run / "compose"), "--prompt", "dump", "--beta-up", "1.2", "--max-new-tokens", "6", "--temperature", "0"]
    found = CliRunner().invoke(generate, [*arguments, "--weight", "0.7", "--weight", "0.3", "--block-size", "2"])
    assert found.exit_code == 0, found.output
    assert found.output.strip()
    piped = CliRunner().invoke(generate, [str(run / "compose"), "--max-new-tokens", "3"], input="dump\n\nPath\n")
    assert piped.exit_code == 0


def test_other_tokenizers_are_refused_with_the_first_difference(run, tmp_path):
    for stage in ("pretrain-small", "tune-small", "pretrain-large"):
        path = run / stage / "model"
        assert (path / "tokenizer.json").is_file()
    from omnitrain.errors import DataError
    from omnitrain_eft.vocabulary import check_vocabularies
    from omnitrain_language.tokenizers import load_tokenizer

    changed = json.loads((run / "tune-small" / "model" / "tokenizer.json").read_text("utf-8"))
    vocabulary = changed["model"]["vocab"]
    first, second = [token for token, number in vocabulary.items() if number in (300, 301)]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    for name in ("tokenizer_config.json",):
        (tmp_path / name).write_bytes((run / "tune-small" / "model" / name).read_bytes())
    (tmp_path / "tokenizer.json").write_text(json.dumps(changed), "utf-8")
    reference = load_tokenizer(run / "pretrain-large" / "model")
    with pytest.raises(DataError, match="the large base and expert 0 differ: id 300"):
        check_vocabularies({"the large base": reference, "expert 0": load_tokenizer(tmp_path)})


def test_claims_read_what_the_recipe_leaves(run, tmp_path):
    (tmp_path / "mini").mkdir()
    for stage in ("measure", "control"):
        (tmp_path / "mini" / stage).symlink_to(run / "evaluate")
    runs = {"mini": tmp_path / "mini"}
    assert factuality(runs)["up-scaled"] > 0
    assert control(runs)["up-scaled"] == control(runs)["unrelated pair"]
    with pytest.raises(KeyError):
        lora(runs)
    assert {claim.id for claim in CLAIMS} == {"C1", "C2", "C2-control", "C3", "C4", "C5", "C6", "LoRA"}


def test_plan_prints_the_memory_of_the_papers_pair():
    found = CliRunner().invoke(plan, ["eft/paper", "--context", "2048"])
    assert found.exit_code == 0, found.output
    assert "large base: 68,976,648,192 parameters" in found.output
    assert "large base in 8 bit" in found.output
    assert "with large fine-tuned, which only evaluation uses: 28" in found.output


@pytest.mark.parametrize("recipe", [r.name for r in PLUGIN.recipes if r.name != "tiny"])
def test_other_recipes_fit_together(recipe, monkeypatch, tmp_path_factory):
    monkeypatch.setenv("OMNITRAIN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    resolved = load_recipe(f"eft/{recipe}", [])
    assert resolved.summary.endswith(".")
    found = dry_run(resolved, installed(), quiet=True)
    assert found.error is None
    assert not any(check.problems for check in found.stages)
