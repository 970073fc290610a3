"""From runs to the numbers of claims."""

import json

import pytest

from omnitrain_w2pgnn.evidence.measures import correlation, cost, selected, soundness, weights


def test_measures_read_what_the_stages_report(tmp_path):
    stage = tmp_path / "correlate" / "evaluations"
    stage.mkdir(parents=True)
    names = ["feasibility (USVT)", "uniform mean (USVT)", "integrated (USVT)", "best single basis (USVT)"]
    names += ["density difference", "statistics difference", "EGI-style bound", "kernel distance"]
    values = {f"{n}/mean/pearson": 0.1 * i for i, n in enumerate(names)} | {"feasibility (USVT)/mean/spearman": 0.3}
    values |= {"picked by feasibility (USVT)": 0.5, "picked by all data": 0.4}
    content = {"metrics": {n: {"value": v} for n, v in values.items()}}
    (stage / "w2pgnn-correlate.json").write_text(json.dumps(content))
    lines = [
        {"stage": "transfer", "pretraining_seconds": 2.0},
        {"stage": "correlate", "feasibility_seconds (USVT)": 1.0, "feasibility_problems": 10},
    ]
    (tmp_path / "timing.jsonl").write_text("\n".join(map(json.dumps, lines)))
    runs = {"airports": tmp_path}
    assert correlation(runs)["best baseline"] == pytest.approx(0.7)
    assert weights(runs)["best other variant"] == pytest.approx(0.2)
    assert selected(runs)["selected"] == 0.5
    assert cost(runs)["ratio"] == pytest.approx(20)
    stage = tmp_path / "recovery" / "evaluations"
    stage.mkdir(parents=True)
    names = ["sound/weight error", "official/weight error", "sound/distance", "official/distance"]
    names += ["sound/distance, worst permutation", "sound/largest rise with a basis"]
    (stage / "w2pgnn-recovery.json").write_text(json.dumps({"metrics": {n: {"value": 0.0} for n in names}}))
    assert soundness({"recovery": tmp_path})["weight error, official"] == 0
