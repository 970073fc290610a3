"""What is left out of a user's files stands in the dry run and in the run's events, also when tokens come out of the cache."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from omnitrain.cli import run as omnitrain

WORDS = "the old mill stands by the river where the miller ground wheat into flour"
TOKENIZER = {"vocabulary_size": 272}
DATA: dict[str, dict[str, Any]] = {
    "blocks": {
        "use": "language/blocks",
        "text": {"use": "language/text", "malformed": "skip", "valid_fraction": 0.0, "test_fraction": 0.0},
        "length": 16,
    },
    "pairs": {"use": "language/pairs", "layout": "decoder-only", "malformed": "skip", "valid_fraction": 0.0},
}
NOTE = "left out 1 malformed records (1 x not JSON), the first: "


@pytest.mark.parametrize("name", DATA)
def test_left_out_records_are_told_by_dry_run_and_events_with_and_without_cache(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMNITRAIN_CACHE", str(tmp_path / "cache"))
    lines = [json.dumps({"text": f"{WORDS} {n}", "inputs": f"{WORDS} {n}", "targets": f"mill {n}"}) for n in range(40)]
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join([*lines[:3], "{torn", *lines[3:]]) + "\n")
    data = {**DATA[name], "tokenizer": TOKENIZER}
    data = {**data, "path": str(path)} if name == "pairs" else {**data, "text": {**data["text"], "path": str(path)}}
    stage = {
        "name": "train",
        "use": "core/fit",
        "data": data,
        "model": {"use": "language/causal", "size": "tiny"},
        "objective": "language/causal-nll",
        "fit": {"steps": 1, "batch_size": 2},
    }
    recipe = tmp_path / "r.yaml"
    recipe.write_text(json.dumps({"summary": "A test.", "stages": [stage]}))
    assert omnitrain(["run", str(recipe), "--dry-run", "--quiet"]) == 0
    assert f"warning: note {NOTE}{path}:4: not JSON" in capsys.readouterr().out
    assert omnitrain(["run", str(recipe), "--out", str(tmp_path / "run"), "--quiet"]) == 0
    events = [json.loads(line) for line in (tmp_path / "run/events.jsonl").read_text().splitlines()]
    told = [event for event in events if event["event"] == "warning"]
    assert [event["note"] for event in told] == [f"{NOTE}{path}:4: not JSON"]
