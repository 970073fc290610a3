"""From the runs of claims to their numbers."""

from __future__ import annotations

from collections.abc import Mapping

from omnitrain.api import FinishedRun

_PARTS = ("style", "name", "content", "end")
_BLOCKS = (1, 2, 4, 8)


def _counts(run: FinishedRun, stage: str) -> dict[str, int]:
    metrics = run.metrics(stage, "eft/grid")
    return {part: metrics[f"up-scaled/{part} nll"].n for part in _PARTS}


def _whole(run: FinishedRun, stage: str, arm: str, kind: str) -> float:
    """Return the mean over all tokens of the replies."""
    values, counts = run.values(stage, "eft/grid"), _counts(run, stage)
    return sum(values[f"{arm}/{part} {kind}"] * n for part, n in counts.items()) / sum(counts.values())


def _part(runs: Mapping[str, FinishedRun], part: str) -> dict[str, float]:
    """Return the loss of every model on a part of the reply, and the recovered shares of the gap."""
    values = runs["mini"].values("measure", "eft/grid")
    kinds = {f"{part} nll": "", f"{part} improvement": ", recovered"}
    found = {}
    for name, value in values.items():
        arm, _, kind = name.partition("/")
        if kind in kinds:
            found[arm + kinds[kind]] = value
    return found


def helpfulness(runs: Mapping[str, FinishedRun]) -> dict[str, float]:
    """Loss of the opening of every model."""
    return _part(runs, "style")


def factuality(runs: Mapping[str, FinishedRun]) -> dict[str, float]:
    """Loss of the content of every model."""
    return _part(runs, "content")


amplification = factuality
truncation = factuality


def control(runs: Mapping[str, FinishedRun]) -> dict[str, float]:
    """KL from the large fine-tuned model over whole replies, with the right pair and with an unrelated one."""
    run = runs["mini"]
    return {
        "up-scaled": _whole(run, "measure", "up-scaled", "kl"),
        "unrelated pair": _whole(run, "control", "up-scaled", "kl"),
        "large base": _whole(run, "measure", "large base", "kl"),
        "small fine-tuned": _whole(run, "measure", "small fine-tuned", "kl"),
    }


def interpolation(runs: Mapping[str, FinishedRun]) -> dict[str, float]:
    """Mean log-likelihood of the content over lambda at both sizes, and how monotone the behaviours are."""
    values = runs["mini"].values("interpolate", "eft/frontier")
    return {
        "up-scaled content": values["up-scaled/mean content"],
        "small content": values["small/mean content"],
        "monotone, up-scaled": values["up-scaled/monotone share"],
        "monotone, small": values["small/monotone share"],
        "dominated share": values["dominated share"],
    }


def lora(runs: Mapping[str, FinishedRun]) -> dict[str, float]:
    """Loss of whole replies: up-scaled, LoRA on the large model, and the models around them."""
    run = runs["mini"]
    arms = ("up-scaled", "large LoRA", "large fine-tuned", "large base", "small fine-tuned", "small base")
    return {arm: _whole(run, "measure", arm, "nll") for arm in arms}


def speed(runs: Mapping[str, FinishedRun]) -> dict[str, float]:
    """Tokens a second of the best block size, plain, and the large model alone; prediction; exactness of greedy texts."""
    run = runs["speed"]
    timings: dict[str, float] = {}
    for line in run.timings("measure"):
        timings |= {key: value for key, value in line.items() if "/" in key or key == "cost"}
    best = max(_BLOCKS, key=lambda block: timings[f"speculative {block}/speedup"])
    greedy = run.values("measure", "greedy")
    sampled = run.values("measure", "sampled")
    return {
        "speculative": timings[f"speculative {best}/tokens_per_second"],
        "plain": timings["plain/tokens_per_second"],
        "large alone": timings["large model alone/tokens_per_second"],
        "best block": float(best),
        "speed-up": timings[f"speculative {best}/speedup"],
        "predicted": timings[f"speculative {best}/predicted"],
        "cost": timings["cost"],
        "acceptance": sampled[f"speculative {best}/acceptance"],
        "large passes a token": sampled[f"speculative {best}/large passes a token"],
        "identical": min(greedy[f"speculative {block}/identical to plain"] for block in _BLOCKS),
    }
