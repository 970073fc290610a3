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
PAIR = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0]
SHORT = ["fit.steps=2", "fit.batch_size=4", "fit.evaluate_batches=1"]
SMALL = {
    "pretrain": ["model.size=tiny", "data.text.path=texts.jsonl", *SHORT],
    "continue": ["data.text.path=texts.jsonl", *SHORT],
    "finetune": ["data.tokenizer_text.path=texts.jsonl", *SHORT],
    "evaluate": [],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the recipes of the page, pairs like its pair, texts that are read faster than the builtin one."""
    for name, text in RECIPES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    keys = list(json.loads(PAIR))
    pairs = [dict(zip(keys, (f"add {i} and {i * 7 % 13}", str(i + i * 7 % 13)), strict=True)) for i in range(60)]
    paragraphs = [p for page in sorted((ROOT / "docs").glob("*.md")) for p in page.read_text("utf-8").split("\n\n")]
    for file, rows in (("pairs.jsonl", pairs), ("texts.jsonl", [{"text": paragraph} for paragraph in paragraphs])):
        (tmp_path / file).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMNITRAIN_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize("name", RECIPES)
def test_composition_passes_its_dry_run_and_its_stages_fit(name: str, folder: Path) -> None:
    stages = [stage.name for stage in load_recipe(name).stages]
    recipe = load_recipe(name, [f"{stage}.{setting}" for stage in stages for setting in SMALL[stage]])
    checked = dry_run(recipe, installed(), folder / "run", quiet=True)
    assert checked.error is None
    assert [stage.name for stage in checked.stages] == stages
    assert len(list(folder.glob("cache/tokenizers/*"))) == 1, "the stages have different tokenizers"

    run_recipe(recipe, folder / "run", Options(quiet=True))
    for stage in stages[:-1]:
        assert list((folder / "run" / stage / "model").glob("*.safetensors"))
    assert list((folder / "run" / stages[-1] / "evaluations").glob("*.json"))


def test_page_has_three_compositions_of_more_than_one_plugin() -> None:
    assert len(RECIPES) == 3
    for text in RECIPES.values():
        assert {"ul2", "language", "core"} <= set(re.findall(r"\b(\w+)/[a-z]", text))
