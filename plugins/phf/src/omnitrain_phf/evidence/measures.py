"""From the runs of claims to their numbers."""

from __future__ import annotations

from collections.abc import Mapping

from omnitrain.api import FinishedRun
from omnitrain_phf.paper.pareto import pareto

Runs = Mapping[str, FinishedRun]


def per_1000(run: FinishedRun, scenario: str = "good") -> float:
    """Return the score per 1000 characters of a scenario's texts."""
    return 1000 * run.values("measure", "phf/misalignment")[f"{scenario}/score per character"]


def clean_nll(run: FinishedRun) -> float:
    """Return the NLL a token on held-out clean text."""
    return run.values("measure", "phf/clean-nll")["nll"]


def conditional(runs: Runs) -> dict[str, float]:
    """Misalignment of MLE and of conditional training under each token, and with permuted scores."""
    own, permuted = runs["conditional"], runs["permuted scores"]
    return {
        "good token": per_1000(own),
        "MLE": per_1000(runs["MLE"]),
        "bad token": per_1000(own, "bad"),
        "bad - good": per_1000(own, "bad") - per_1000(own),
        "good token, permuted scores": per_1000(permuted),
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
    best = {name: 1000 * run.values("red-team", "phf/red-team")["pool/best 10"] for name, run in runs.items()}
    return {"worse of conditional and filtering": max(best["conditional"], best["filtering"]), **best}


def diversity(runs: Runs) -> dict[str, float]:
    """Entropy of words of every arm, with distinct-2 and Self-BLEU."""
    found: dict[str, float] = {}
    details: dict[str, float] = {}
    for name, run in runs.items():
        metrics = run.values("measure", "phf/misalignment")
        found[name] = metrics["good/entropy-1-grams"]
        details[f"{name}, distinct-2"] = metrics["good/distinct-2-grams"]
        details[f"{name}, Self-BLEU-5"] = metrics["good/Self-BLEU-5"]
    return {**found, **details}


def feedback(runs: Runs) -> dict[str, float]:
    """Misalignment with feedback from the start, and after MLE on half or nine tenths of the tokens."""
    names = {"from the start": "conditional", "50 % MLE first": "50 % MLE first", "90 % MLE first": "90 % MLE first"}
    found = {name: per_1000(runs[key]) for name, key in names.items()}
    return {**found, **{f"{name}, clean NLL": clean_nll(runs[key]) for name, key in names.items()}}
