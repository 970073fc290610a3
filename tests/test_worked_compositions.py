"""The recipes of docs/compositions.md: each passes its dry run, and its stages fit when they are run, on little text."""

import json
import re
from pathlib import Path

import pytest

from omnitrain.engine import Options, run_recipe
from omnitrain.engine.dryrun import dry_run
from omnitrain.plugins import installed
from omnitrain.recipes import load_recipe
from workspace import ROOT

PAGE = (ROOT / "docs/compositions.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"`(\w+\.yaml)`:\n\n```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
SHORT = ["fit.steps=2", "fit.batch_size=4", "fit.evaluate_batches=1"]
TEXTS = "data.text.path=texts.jsonl"
CONTACTS = "data.score.contacts_sentences=300"
SMALL = {
    "continue.yaml": {"pretrain": ["model.size=tiny", TEXTS, *SHORT], "continue": [TEXTS, *SHORT]},
    "feedback.yaml": {
        **{stage: [CONTACTS, *SHORT] for stage in ("pretrain", "pretrain-small", "tune-small")},
        "evaluate": [CONTACTS],
    },
    "mix.yaml": {
        "pretrain": [
            "model.size=tiny",
            "data.members.plain.data.text.path=texts.jsonl",
            "data.members.denoised.data.text.path=texts.jsonl",
            *SHORT,
        ],
        "evaluate": [],
    },
    "pair.yaml": {
        "pretrain": [TEXTS, *SHORT],
        "pretrain-small": [TEXTS, *SHORT],
        "tune-small": ["data.tokenizer_text.path=texts.jsonl", *SHORT],
    },
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the recipes of the page, and texts that are read faster than the builtin one."""
    for name, text in RECIPES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    paragraphs = [p for page in sorted((ROOT / "docs").glob("*.md")) for p in page.read_text("utf-8").split("\n\n")]
    lines = [json.dumps({"text": paragraph}) + "\n" for paragraph in paragraphs]
    (tmp_path / "texts.jsonl").write_text("".join(lines), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMNITRAIN_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize("name", RECIPES)
def test_composition_passes_its_dry_run_and_its_stages_fit(name: str, folder: Path) -> None:
    stages = [stage.name for stage in load_recipe(name).stages]
    recipe = load_recipe(name, [f"{stage}.{setting}" for stage, settings in SMALL[name].items() for setting in settings])
    checked = dry_run(recipe, installed(), folder / "run", quiet=True)
    assert checked.error is None
    assert [stage.name for stage in checked.stages] == stages
    assert len(list(folder.glob("cache/tokenizers/*"))) == 1, "the stages have different tokenizers"

    run_recipe(recipe, folder / "run", Options(quiet=True))
    trained = [stage for stage in stages if stage in SMALL[name] and stage != "evaluate"]
    assert trained
    for stage in trained:
        assert list((folder / "run" / stage / "model").glob("*.safetensors"))
    assert list((folder / "run" / stages[-1] / "evaluations").glob("*.json"))


def test_page_has_three_compositions_across_papers() -> None:
    assert set(RECIPES) == set(SMALL)
    papers = [set(re.findall(r"\b(ul2|phf|eft)/[a-z]", text)) for text in RECIPES.values()]
    assert all(len(found) > 1 for found in papers)
    assert set.union(*papers) == {"ul2", "phf", "eft"}
