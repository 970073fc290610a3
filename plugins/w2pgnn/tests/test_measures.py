"""From runs to the numbers of claims."""

import pytest

from omnitrain_testing.finished import finished_run
from omnitrain_w2pgnn.evidence.measures import correlation, cost, selected, soundness, weights


def test_measures_read_what_the_stages_report(tmp_path):
    names = ["feasibility (USVT)", "uniform mean (USVT)", "integrated (USVT)", "best single basis (USVT)"]
    names += ["density difference", "statistics difference", "EGI-style bound", "kernel distance"]
    values = {f"{n}/mean/pearson": 0.1 * i for i, n in enumerate(names)} | {"feasibility (USVT)/mean/spearman": 0.3}
    values |= {"picked by feasibility (USVT)": 0.5, "picked by all data": 0.4}
    timings = {
        "transfer": [{"pretraining_seconds": 2.0}],
        "correlate": [{"feasibility_seconds (USVT)": 1.0, "feasibility_problems": 10}],
    }
    runs = {"airports": finished_run(tmp_path / "airports", {("correlate", "w2pgnn/correlate"): values}, timings=timings)}
    assert correlation(runs)["best baseline"] == pytest.approx(0.7)
    assert weights(runs)["best other variant"] == pytest.approx(0.2)
    assert selected(runs)["selected"] == 0.5
    assert cost(runs)["ratio"] == pytest.approx(20)
    names = ["sound/weight error", "official/weight error", "sound/distance", "official/distance"]
    names += ["sound/distance, worst permutation", "sound/largest rise with a basis"]
    recovery = finished_run(tmp_path / "recovery", {("recovery", "w2pgnn/recovery"): dict.fromkeys(names, 0.0)})
    assert soundness({"recovery": recovery})["weight error, official"] == 0
