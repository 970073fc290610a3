"""Runs side by side."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from omnitrain.api import Evaluation, Heatmap, Piece, Text
from omnitrain.cli import run
from omnitrain.report.comparison import compare_runs, run_names
from omnitrain.runs import RunDirectory
from omnitrain.runs.evaluations import write_evaluation

SHORT = ["train.fit.evaluate_every=2", "train.fit.log_every=1", "train.fit.checkpoint_every=3"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two finished runs that differ in updates and seed."""
    folder = tmp_path_factory.mktemp("compared")
    for name, changed in (("first", ["train.fit.steps=4"]), ("second", ["train.fit.steps=6", "seed=3"])):
        assert run(["run", "toy/tiny", *SHORT, *changed, "--out", str(folder / name), "--quiet", "--json"]) == 0
    return folder / "first", folder / "second"


def _json(capsys: pytest.CaptureFixture[str], *arguments: Any) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["compare", *map(str, arguments), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_only_settings_that_differ_are_shown(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    settings = _json(capsys, *runs)["settings"]
    assert settings == [
        {"key": "seed", "values": {"first": 0, "second": 3}},
        {"key": "train.fit.steps", "values": {"first": 4, "second": 6}},
    ]


def test_last_metrics_stand_side_by_side(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    found = {(m["stage"], m["metric"]): m["values"] for m in _json(capsys, *runs)["metrics"]}
    stored = [
        json.loads((r / "measure/evaluations/toy-error.json").read_text())["metrics"]["mean_error"]["value"] for r in runs
    ]
    assert list(found["measure", "toy/error/mean_error"].values()) == stored


def test_curves_of_a_metric_hold_every_run(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    curves = {(c["stage"], c["metric"]): c["series"] for c in _json(capsys, *runs)["curves"]}
    loss = curves["train", "train/loss"]
    assert {name: [step for step, _ in points] for name, points in loss.items()} == {
        "first": [1, 2, 3, 4],
        "second": [1, 2, 3, 4, 5, 6],
    }
    assert ("measure", "toy/error/mean_error") not in curves


def test_text_names_settings_and_metrics(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", *map(str, runs)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^train\.fit\.steps +4 +6$", out, re.MULTILINE)
    assert re.search(r"^measure +toy/error/mean_error +\S+ +\S+$", out, re.MULTILINE)
    assert "batch_size" not in out


def test_page_holds_tables_and_curves_and_loads_nothing(runs: tuple[Path, Path], tmp_path: Path) -> None:
    assert run(["compare", *map(str, runs), "--html", str(tmp_path / "page.html"), "--json"]) == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "train.fit.steps" in page
    assert page.count("<svg") >= 3
    assert not re.search(r"<script|<link|<iframe|@import|(src|action)\s*=", page)


def test_setting_that_only_one_run_has_differs(runs: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(runs[0], other)
    record = json.loads((other / "run.json").read_text())
    record["recipe"]["stages"][0]["data"]["new"] = None
    record["recipe"]["stages"][0]["fit"]["steps"] = 4.0
    (other / "run.json").write_text(json.dumps(record))
    settings = {s["key"]: s["values"] for s in compare_runs([RunDirectory(runs[0]), RunDirectory(other)])["settings"]}
    assert settings == {"train.data.new": {"other": None}, "train.fit.steps": {"first": 4, "other": 4.0}}


def test_run_beside_itself_has_no_differing_settings(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", str(runs[0]), str(runs[0])]) == 0
    assert "All settings are the same." in capsys.readouterr().out


def test_runs_are_named_by_the_shortest_end_that_tells_them_apart() -> None:
    assert run_names([Path("/a/x"), Path("/a/y")]) == ["x", "y"]
    assert run_names([Path("/a/x"), Path("/b/x")]) == ["a/x", "b/x"]
    assert len(set(run_names([Path("/a/x"), Path("/a/x")]))) == 2


def test_fewer_than_two_runs_or_something_else_is_refused(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compare", str(runs[0])]) == 2
    assert "at least two run directories" in capsys.readouterr().err
    assert run(["compare", str(runs[0]), str(tmp_path)]) == 5
    assert "is not a run directory" in capsys.readouterr().err
    assert run(["compare", *map(str, runs), "--html", str(tmp_path / "absent" / "page.html")]) == 5


def test_figures_of_one_name_stand_side_by_side(runs: tuple[Path, Path], tmp_path: Path) -> None:
    copies = [tmp_path / "left", tmp_path / "right"]
    for source, copied in zip(runs, copies, strict=True):
        shutil.copytree(source, copied)
        figures = {"map": Heatmap((), (), [[1.0, 2.0]]), "text": Text([[Piece(copied.name)]])}
        write_evaluation(copied / "measure" / "evaluations", "toy/drawn", None, Evaluation(figures=figures))
    assert run(["compare", *map(str, copies), "--html", str(tmp_path / "page.html"), "--json"]) == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    shown = page.partition('<h2 id="figures">')[2].partition('<h2 id="metrics">')[0]
    titles = re.findall(r"<h3>(.*?) <span|<h4 class=\"name\">(.*?)</h4>", shown)
    assert [a or b for a, b in titles] == ["map", "left", "right", "text", "left", "right"]
    assert shown.count('<svg class="heat"') == 2
