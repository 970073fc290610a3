"""The stage `language/merge`, on a stage and on a folder."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from omnitrain.engine import Options, installed, load_recipe, read_component, run_recipe
from omnitrain.engine.dryrun import dry_run
from omnitrain.engine.opening import load_saved_model
from omnitrain.engine.scratch import scratch_run
from omnitrain.errors import DataError, UsageError
from omnitrain_language.tokenizers import load_tokenizer
from omnitrain_testing.tokenizers import documents, make_model

IDS = torch.tensor([[3, 9, 27, 5]])
LORA = {"rank": 2, "also_train": ["embeddings", "head"]}


def run(stages: list[dict[str, Any]], folder: Path) -> Path:
    """Run stages; return the folder of the run."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe = folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({"summary": "Adapters.", "seed": 0, "stages": stages}), "utf-8")
    run_recipe(load_recipe(str(recipe)), folder / "run", Options(quiet=True))
    return folder / "run"


def fit(name: str, texts: Path, **model: Any) -> dict[str, Any]:
    """A stage that trains a model for two steps on texts, with tokens that are added to its tokenizer."""
    return {
        "name": name,
        "use": "core/fit",
        "data": {
            "use": "language/blocks",
            "text": {"use": "language/text", "path": str(texts), "valid_fraction": 0.3, "test_fraction": 0.3},
            "tokenizer": {"extra_tokens": ["<a>", "<b>"]},
            "length": 8,
        },
        "model": model,
        "objective": {"use": "language/causal-nll"},
        "fit": {"steps": 2, "batch_size": 2, "learning_rate": 1e-1, "device": "cpu"},
    }


def artifact(folder: Path, stage: str) -> Path:
    """The folder of the model that a stage left."""
    return folder / stage / "model"


def logits(folder: Path) -> torch.Tensor:
    registry = installed()
    with scratch_run(registry) as scratch, torch.no_grad():
        found: torch.Tensor = load_saved_model(folder, scratch, registry).eval()(input_ids=IDS).logits
        return found


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chat model with tied weights, and texts beside it."""
    folder = tmp_path_factory.mktemp("base")
    make_model("chat", folder / "model")
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in documents(40)), "utf-8")
    return folder


@pytest.fixture(scope="module")
def tuned(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that tunes with adapters, merges, and goes on with adapters on the merged model."""
    texts = base / "texts.jsonl"
    stages = [
        fit("tune", texts, use="language/causal", path=str(base / "model"), untied=True, lora=LORA),
        {"name": "merge", "use": "language/merge", "model": {"from": "tune"}},
        fit("more", texts, **{"from": "merge", "lora": {"rank": 2}}),
    ]
    return run(stages, tmp_path_factory.mktemp("tuned"))


def test_a_merged_model_computes_the_same_and_has_no_adapters(base: Path, tuned: Path) -> None:
    before, merged = artifact(tuned, "tune"), artifact(tuned, "merge")
    torch.testing.assert_close(logits(merged), logits(before), rtol=0, atol=1e-5)
    assert not list(merged.glob("adapter_*"))
    assert read_component(merged)["config"]["lora"] is None
    assert read_component(merged)["facts"] == read_component(before)["facts"]
    assert load_tokenizer(merged).get_vocab() == load_tokenizer(before).get_vocab()
    ends = json.loads((merged / "generation_config.json").read_text())["eos_token_id"]
    assert ends == json.loads((base / "model" / "generation_config.json").read_text())["eos_token_id"]


def test_training_goes_on_from_a_merged_model_without_moving_embedding_and_head(tuned: Path) -> None:
    registry = installed()
    with scratch_run(registry) as scratch:
        merged = load_saved_model(artifact(tuned, "merge"), scratch, registry)
        more = load_saved_model(artifact(tuned, "more"), scratch, registry)
    assert torch.equal(more.get_input_embeddings().weight, merged.get_input_embeddings().weight)
    assert torch.equal(more.get_output_embeddings().weight, merged.get_output_embeddings().weight)
    assert not torch.equal(logits(artifact(tuned, "more")), logits(artifact(tuned, "merge")))


def test_a_folder_of_another_run_is_merged(tuned: Path, tmp_path: Path) -> None:
    before = artifact(tuned, "tune")
    done = run([{"name": "merge", "use": "language/merge", "path": str(before)}], tmp_path)
    torch.testing.assert_close(logits(artifact(done, "merge")), logits(before), rtol=0, atol=1e-5)


def test_a_model_without_adapters_goes_on_as_it_is_and_that_is_told(tuned: Path, tmp_path: Path) -> None:
    before = artifact(tuned, "merge")
    done = run([{"name": "merge", "use": "language/merge", "path": str(before)}], tmp_path)
    assert torch.equal(logits(artifact(done, "merge")), logits(before))
    assert "nothing to merge" in (done / "events.jsonl").read_text("utf-8")


def test_what_is_no_model_with_adapters_is_refused(tmp_path: Path) -> None:
    (tmp_path / "adapters").mkdir()
    with pytest.raises(DataError, match=r"holds no model that a run saved .*merge_and_unload of peft"):
        run([{"name": "merge", "use": "language/merge", "path": str(tmp_path / "adapters")}], tmp_path)
    shutil.rmtree(tmp_path / "run", ignore_errors=True)
    with pytest.raises(UsageError, match="write either 'model"):
        run([{"name": "merge", "use": "language/merge"}], tmp_path)
    fresh = {"use": "language/causal", "lora": {"rank": 2}}
    with pytest.raises(UsageError, match="fresh adapters change nothing"):
        run([{"name": "merge", "use": "language/merge", "model": fresh}], tmp_path)


@pytest.mark.parametrize("lora", [None, {"rank": 2}])
def test_the_dry_run_says_that_there_will_be_no_adapters_to_merge(
    base: Path, tmp_path: Path, lora: dict[str, Any] | None
) -> None:
    stages = [
        fit("tune", base / "texts.jsonl", use="language/causal", path=str(base / "model"), lora=lora),
        {"name": "merge", "use": "language/merge", "model": {"from": "tune"}},
    ]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({"summary": "Adapters.", "seed": 0, "stages": stages}), "utf-8")
    notes = dry_run(load_recipe(str(recipe)), installed()).stages[1].notes
    said = [note for note in notes if note.startswith("nothing to merge: the model of stage tune has no adapters")]
    assert len(said) == (lora is None)
