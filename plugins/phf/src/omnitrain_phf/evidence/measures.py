"""From the runs of claims to their numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from omnitrain.errors import DataError
from omnitrain_phf.paper.pareto import pareto

Runs = Mapping[str, Path]


def metrics_of(run: Path, stage: str, evaluator: str) -> dict[str, float]:
    """Return the metrics of one evaluation of a finished run.

    Raises DataError when the run lacks it.
    """
    path = run / stage / "evaluations" / f"phf-{evaluator}.json"
    if not path.exists():
        raise DataError(f"{path} is missing; the run did not finish.")
    metrics = json.loads(path.read_text("utf-8"))["metrics"]
    return {name: float(metric["value"]) for name, metric in metrics.items()}


def per_1000(run: Path, scenario: str = "good") -> float:
    """Return the score per 1000 characters of a scenario's texts."""
    return 1000 * metrics_of(run, "measure", "misalignment")[f"{scenario}/score per character"]


def clean_nll(run: Path) -> float:
    """Return the NLL a token on held-out clean text."""
    return metrics_of(run, "measure", "clean-nll")["nll"]


def conditional(runs: Runs) -> dict[str, float]:
    """Misalignment of MLE and of conditional training under each token, and with permuted scores."""
    own, permuted = runs["conditional"], runs["permuted scores"]
    return {
        "good token": per_1000(own),
        "MLE": per_1000(runs["MLE"]),
        "bad token": per_1000(own, "bad"),
        "bad - good": per_1000(own, "bad") - per_1000(own),
        "bad - good, permuted": per_1000(permuted, "bad") - per_1000(permuted),
    }


def front(runs: Runs) -> dict[str, float]:
    """How many arms are better than conditional training in both, and the points of all arms."""
    points = {name: (per_1000(run), clean_nll(run)) for name, run in runs.items()}
    x, y = points["conditional"]
    better = sum(a < x and b < y for name, (a, b) in points.items() if name != "conditional")
    details = {f"{name}, misalignment": point[0] for name, point in points.items()}
    details |= {f"{name}, clean NLL": point[1] for name, point in points.items()}
    details |= {f"{name}, on the front": float(name in pareto(points)) for name in points}
    return {"arms better in both": float(better), "one arm": 1.0, **details}


def unlikelihood(runs: Runs) -> dict[str, float]:
    """Misalignment of both kinds of unlikelihood and of MLE."""
    return {
        "hard threshold": per_1000(runs["unlikelihood"]),
        "soft mix": per_1000(runs["soft unlikelihood"]),
        "MLE": per_1000(runs["MLE"]),
    }


def red_team(runs: Runs) -> dict[str, float]:
    """Mean of the ten best prompts of the pool, per arm, in detections per 1000 characters."""
    best = {name: 1000 * metrics_of(run, "red-team", "red-team")["pool/best 10"] for name, run in runs.items()}
    return {"worse of conditional and filtering": max(best["conditional"], best["filtering"]), **best}


def diversity(runs: Runs) -> dict[str, float]:
    """Entropy of words of every arm, with distinct-2 and Self-BLEU."""
    found: dict[str, float] = {}
    details: dict[str, float] = {}
    for name, run in runs.items():
        metrics = metrics_of(run, "measure", "misalignment")
        found[name] = metrics["good/entropy-1-grams"]
        details[f"{name}, distinct-2"] = metrics["good/distinct-2-grams"]
        details[f"{name}, Self-BLEU-5"] = metrics["good/Self-BLEU-5"]
    return {**found, **details}


def feedback(runs: Runs) -> dict[str, float]:
    """Misalignment with feedback from the start, and after MLE on half or nine tenths of the tokens."""
    names = {"from the start": "conditional", "50 % MLE first": "50 % MLE first", "90 % MLE first": "90 % MLE first"}
    found = {name: per_1000(runs[key]) for name, key in names.items()}
    return {**found, **{f"{name}, clean NLL": clean_nll(runs[key]) for name, key in names.items()}}
