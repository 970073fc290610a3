"""From the runs of claims to their numbers."""

from __future__ import annotations

from collections.abc import Mapping

from omnitrain.api import FinishedRun
from omnitrain.errors import DataError
from omnitrain_w2pgnn.paper.baselines import BASELINES

Runs = Mapping[str, FinishedRun]
ESTIMATOR = "USVT"


def _timings(run: FinishedRun, stage: str, key: str) -> list[tuple[float, float]]:
    """Return (value, problems) of a timing of a stage, in the order of the lines; problems is 1 where it is not told."""
    return [(float(line[key]), float(line.get("feasibility_problems", 1))) for line in run.timings(stage) if key in line]


def correlation(runs: Runs) -> dict[str, float]:
    """Pearson correlation with the best downstream score, mean over targets: feasibility and every baseline."""
    found = runs["airports"].values("correlate", "w2pgnn/correlate")
    baselines = {name: found[f"{name}/mean/pearson"] for name in BASELINES}
    estimators = {
        f"{name.removesuffix('/mean/pearson')}": value for name, value in found.items() if name.endswith("/mean/pearson")
    }
    return {
        "feasibility": found[f"feasibility ({ESTIMATOR})/mean/pearson"],
        "best baseline": max(baselines.values()),
        "no correlation": 0.0,
        **estimators,
        "feasibility, Spearman": found[f"feasibility ({ESTIMATOR})/mean/spearman"],
    }


def weights(runs: Runs) -> dict[str, float]:
    """The same correlation of the variants of feasibility."""
    found = runs["airports"].values("correlate", "w2pgnn/correlate")
    variants = {
        kind: found[f"{kind} ({ESTIMATOR})/mean/pearson"] for kind in ("uniform mean", "integrated", "best single basis")
    }
    best = max(variants["uniform mean"], variants["integrated"])
    own = {"fitted weights": found[f"feasibility ({ESTIMATOR})/mean/pearson"], "best other variant": best}
    return {**own, **variants, "no correlation": 0.0}


def selected(runs: Runs) -> dict[str, float]:
    """Mean downstream score of what is selected, of all data, of a random pair, of none, and of the baselines' picks."""
    found = runs["airports"].values("correlate", "w2pgnn/correlate")
    picks = {name.removeprefix("picked by "): value for name, value in found.items() if name.startswith("picked by ")}
    return {"selected": picks[f"feasibility ({ESTIMATOR})"], **picks}


def cost(runs: Runs) -> dict[str, float]:
    """Seconds of feasibility for one selection, and of one pre-training run."""
    run = runs["airports"]
    fitted = _timings(run, "correlate", f"feasibility_seconds ({ESTIMATOR})")
    trained = _timings(run, "transfer", "pretraining_seconds")
    if not fitted or not trained:
        raise DataError(f"{run.folder} lacks the times of correlate and transfer; run again in a new folder.")
    seconds, problems = fitted[-1]
    mean = sum(value for value, _ in trained) / len(trained)
    own = seconds / max(problems, 1)
    return {"feasibility (s)": own, "one pre-training (s)": mean, "ratio": mean / max(own, 1e-9)}


def soundness(runs: Runs) -> dict[str, float]:
    """Errors of the planted weights, ours and the official fit's, and what else has to be zero."""
    found = runs["recovery"].values("recovery", "w2pgnn/recovery")
    errors = {name.removesuffix("/weight error"): value for name, value in found.items() if name.endswith("/weight error")}
    return {
        "weight error": errors.pop("sound"),
        "weight error, official": errors.pop("official"),
        "distance": found["sound/distance"],
        "distance, official": found["official/distance"],
        "distance, worst permutation": found["sound/distance, worst permutation"],
        "largest rise with a basis": found["sound/largest rise with a basis"],
        **{f"weight error, {name}": value for name, value in errors.items()},
    }
