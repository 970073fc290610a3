"""The recipes of docs/compositions.md: each passes its dry run as shown, and its stages fit when they are run."""

import json
import re
from pathlib import Path

import pytest
from conftest import Command

from workspace import ROOT

PAGE = (ROOT / "docs/compositions.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"`(\w+\.yaml)`:\n\n```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
SMALL = {
    "pretrain": ["model.size=tiny", "data.text.max_documents=200", "fit.steps=2", "fit.batch_size=4", "fit.evaluate_batches=1"],
    "continue": ["data.text.max_documents=200", "fit.steps=2", "fit.batch_size=4", "fit.evaluate_batches=1"],
    "finetune": ["data.tokenizer_text.max_documents=200", "fit.steps=2", "fit.batch_size=4"],
    "evaluate": [],
}


def tokenizers(cache: Path) -> set[str]:
    return {folder.name for folder in cache.glob("tokenizers/*")}


@pytest.mark.parametrize("name", RECIPES)
def test_composition_passes_its_dry_run_and_its_stages_fit(
    name: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_text(RECIPES[name], encoding="utf-8")
    example = re.search(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert example is not None
    assert set(json.loads(example[1])) == {"inputs", "targets"}
    lines = [json.dumps({"inputs": f"add {i} and {i * 7 % 13}", "targets": str(i + i * 7 % 13)}) for i in range(60)]
    (tmp_path / "pairs.jsonl").write_text("\n".join(lines))
    omnitrain = Command(tmp_path, OMNITRAIN_CACHE=str(tmp_path / "cache"))

    stages = re.findall(r"^  - name: (\w+)$", RECIPES[name], re.MULTILINE)
    checked = json.loads(omnitrain("run", name, "--dry-run", "--json", "--quiet").stdout)
    assert [stage["name"] for stage in checked["stages"]] == stages
    assert len(tokenizers(tmp_path / "cache")) == 1, "the stages have different tokenizers"

    small = [f"{stage}.{setting}" for stage in stages for setting in SMALL[stage]]
    ran = json.loads(omnitrain("run", name, *small, "--out", "run", "--json", "--quiet").stdout)
    assert {stage["name"]: stage["status"] for stage in ran["stages"]} == dict.fromkeys(stages, "finished")
    assert ran["stages"][-1]["metrics"]


def test_page_has_three_compositions_of_more_than_one_plugin() -> None:
    assert len(RECIPES) == 3
    for text in RECIPES.values():
        assert {"ul2", "language", "core"} <= set(re.findall(r"\b(\w+)/[a-z]", text))
