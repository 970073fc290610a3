"""Stages and recipes from end to end, and what users hear about mistakes."""

import json
from pathlib import Path

import numpy as np
import pytest

from omnitrain.cli import run as command
from omnitrain_w2pgnn import plugin

CANDIDATES = """
      davis: {use: w2pgnn/graphs, path: davis, minimum_seeds: 12}
      grid: {use: w2pgnn/graphs, path: grid, minimum_seeds: 12}
      atlas: {use: w2pgnn/graphs, path: atlas, max_graphs: 20}
      florentine: {use: w2pgnn/graphs, path: florentine}
"""


def run(tmp_path, text, *more):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text, encoding="utf-8")
    return command(["run", str(recipe), "--out", str(tmp_path / "run"), *more])


def metrics(tmp_path, stage):
    path = tmp_path / "run" / stage / "evaluations" / f"w2pgnn-{stage}.json"
    return json.loads(path.read_text("utf-8"))


def feasibility(settings="", candidates=CANDIDATES, targets="karate: {use: w2pgnn/graphs, path: karate, seed_share: null}"):
    return f"""
stages:
  - name: feasibility
    use: w2pgnn/feasibility
    candidates: {candidates}
    targets:
      {targets}
    resamples: 2
{settings}
"""


def test_feasibility_reports_splits_weights_spread_and_pictures(tmp_path):
    assert run(tmp_path, feasibility("    fit: {resolution: 12, random_starts: 2}")) == 0
    found = metrics(tmp_path, "feasibility")
    stored = json.loads((tmp_path / "run/feasibility/feasibility.json").read_text("utf-8"))["karate"]
    assert set(stored["splits"]) == {"integr", "domain", "topo"}
    assert sum(stored["weights"].values()) == pytest.approx(1)
    assert stored["feasibility"] == pytest.approx(-min(s["distance"] for s in stored["splits"].values()))
    assert len(stored["spread"]) == 2
    assert set(stored["candidates"]) == {"davis", "grid", "atlas", "florentine"}
    panels = found["figures"]["graphons for karate"]["values"]
    assert {name.partition(" (")[0] for name in panels} >= {"mixture", "target"}
    assert {np.shape(panel) for panel in panels.values()} == {(12, 12)}
    assert (tmp_path / "run/report.html").exists()


def test_compat_mode_is_one_switch_and_gives_other_numbers(tmp_path):
    settings = """
    fit: {compat: official, resolution: 6, epochs: 2}
    splits: [domain]
    estimator: {method: SAS, tv_weight: null}
"""
    assert run(tmp_path, feasibility(settings)) == 0
    official = json.loads((tmp_path / "run/feasibility/feasibility.json").read_text("utf-8"))["karate"]
    (tmp_path / "other").mkdir()
    assert run(tmp_path / "other", feasibility(settings.replace("official", "sound"))) == 0
    sound = json.loads((tmp_path / "other/run/feasibility/feasibility.json").read_text("utf-8"))["karate"]
    assert official["feasibility"] != sound["feasibility"]
    assert official["spread"] == []


def test_a_target_among_the_candidates_is_refused_and_left_out_when_flagged(tmp_path, capsys):
    text = feasibility(candidates="{club: {use: w2pgnn/graphs, path: karate}, davis: {use: w2pgnn/graphs, path: davis}}")
    assert run(tmp_path, text) == 4
    assert "'karate' in 'club'" in capsys.readouterr().err
    (tmp_path / "flag").mkdir()
    assert run(tmp_path / "flag", text + "    overlap: flag\n    fit: {resolution: 8, random_starts: 1}\n") == 0
    stored = json.loads((tmp_path / "flag/run/feasibility/feasibility.json").read_text("utf-8"))["karate"]
    assert set(stored["candidates"]) == {"davis"}


@pytest.mark.parametrize(
    ("settings", "said", "code"),
    [
        ("    estimator: {method: LP}", "estimator.method", 2),
        ("    fit: {resolutoin: 8}", "Did you mean 'resolution'", 2),
        ("    clusters: 0", "clusters", 2),
    ],
)
def test_wrong_settings_name_file_line_and_key(settings, said, code, tmp_path, capsys):
    assert run(tmp_path, feasibility(settings)) == code
    error = capsys.readouterr().err
    assert said in error
    assert "recipe.yaml:" in error


def test_a_malformed_edge_list_is_named_with_its_line(tmp_path, capsys):
    path = tmp_path / "mine.edgelist"
    path.write_text("0 1\n1 two\n", encoding="utf-8")
    assert run(tmp_path, feasibility(candidates=f"{{mine: {{use: w2pgnn/graphs, path: {path}}}}}")) == 4
    assert "mine.edgelist:2: expected two whole numbers" in capsys.readouterr().err


def test_recipes_of_the_plugin_are_all_shipped():
    folder = Path(plugin.__file__).parent / "recipes"
    assert {path.stem for path in folder.glob("*.yaml")} == {recipe.name for recipe in plugin.PLUGIN.recipes}


def test_recovery_finds_planted_mixtures_better_with_more_graphs(tmp_path):
    text = """
stages:
  - name: recovery
    use: w2pgnn/recovery
    resolution: 12
    graph_counts: [2, 30]
    graph_sizes: [100]
    estimators: [USVT]
    official: false
"""
    assert run(tmp_path, text) == 0
    found = {name: metric["value"] for name, metric in metrics(tmp_path, "recovery")["metrics"].items()}
    assert found["sound/distance, worst permutation"] <= 1e-6
    assert found["sound/weight error"] <= 1e-6
    assert found["sound/largest rise with a basis"] == 0
    assert found["USVT/30 graphs of 100/weight error"] < 0.3
    assert found["USVT/30 graphs of 100/gain over singles"] > 0
    assert np.isfinite(list(found.values())).all()
