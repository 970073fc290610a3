"""From the runs of claims to their numbers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from omnitrain.api import FinishedRun
from omnitrain_lae.evaluators.answers import ENSEMBLE, Answered, is_sequence, matrix, new_and_old, read_answers
from omnitrain_tuning.metrics import forgetting, incremental_accuracy

Runs = Mapping[str, FinishedRun]
PETS = ("adapter", "lora", "prefix")
# The stage that learns heads on the frozen backbone: what doing nothing to it gives.
HEADS = "heads"


def answers(run: FinishedRun, stage: str) -> list[Answered]:
    """Return what a stage's experts answered. Raises DataError for a run that did not finish."""
    return read_answers(run.artifact(stage, "answers"))


def last(run: FinishedRun, stage: str, name: str = ENSEMBLE) -> float:
    """Return the accuracy on all tests after the last task."""
    result = answers(run, stage)[-1]
    return incremental_accuracy(result.accuracies(name), result.counts())


def forgotten(run: FinishedRun, stage: str) -> float:
    """Return forgetting after the last task."""
    results = answers(run, stage)
    return forgetting(matrix(results), len(results) - 1)


def _table(run: FinishedRun) -> dict[str, float]:
    """Return last accuracy, average and forgetting of every arm, as details beside a claim."""
    found: dict[str, float] = {}
    for stage in sorted(stage for stage in run.stages if "answers" in run.record(stage).artifacts):
        results = answers(run, stage)
        counts = results[-1].counts()
        steps = [incremental_accuracy(result.accuracies(), counts) for result in results]
        found[f"{stage}, last"] = steps[-1]
        if is_sequence(results):
            found[f"{stage}, average"] = float(np.mean(steps))
            found[f"{stage}, forgetting"] = forgotten(run, stage)
    return found


def against_prompts(runs: Runs) -> dict[str, float]:
    """Last accuracy of LAE, the pool of prompts and sequential tuning, and all arms."""
    run = runs["methods"]
    prompts, sequential = last(run, "prompts"), last(run, "sequential")
    own = {"LAE adapter": last(run, "adapter"), "prompt pool": prompts, "sequential": sequential}
    return {**own, "best of prompt pool and sequential": max(prompts, sequential), **_table(run)}


def every_method(runs: Runs) -> dict[str, float]:
    """Gain of each method over itself tuned online only."""
    run = runs["methods"]
    with_lae = {pet: last(run, pet) for pet in PETS}
    gains = {f"gain of {pet}": value - last(run, f"{pet}-online") for pet, value in with_lae.items()}
    spread = max(with_lae.values()) - min(with_lae.values())
    idle = last(run, HEADS) - last(run, "adapter-online")
    own = {"smallest gain over online only": min(gains.values()), "no gain": 0.0, **gains, "spread of methods": spread}
    return {**own, "gain of frozen heads": idle}


def calibration(runs: Runs) -> dict[str, float]:
    """Last accuracy of the prefix with and without calibration, and the mean loss of the first task."""
    run = runs["methods"]
    stages = {
        "LAE prefix": "prefix",
        "prefix without calibration": "prefix-plain",
        "prefix without compensation": "prefix-uncompensated",
        "prefix without scale": "prefix-fixed-scale",
        "LAE LoRA": "lora",
        "LoRA without scale": "lora-fixed-scale",
    }
    found = {name: last(run, stage) for name, stage in stages.items()} | {"frozen heads": last(run, HEADS)}
    return found | {f"{name}, loss of task 1": _first_loss(run, stage) for name, stage in stages.items()}


def _first_loss(run: FinishedRun, stage: str) -> float:
    losses = [line["loss"] for line in run.lines(stage, split=None) if line.get("task") == 1 and "loss" in line]
    return float(np.mean(losses))


def ensemble(runs: Runs) -> dict[str, float]:
    """Last accuracy of the ensemble and of each expert, means over the methods."""
    run = runs["methods"]
    found = {name: [last(run, pet, name) for pet in PETS] for name in ("online", "offline", ENSEMBLE)}
    better = [max(pair) for pair in zip(found["online"], found["offline"], strict=True)]
    means = {name: float(np.mean(values)) for name, values in found.items()}
    return {**means, "better expert": float(np.mean(better)), "frozen heads": last(run, HEADS)}


def _by_age(runs: Runs, place: int) -> dict[str, float]:
    values: dict[str, list[float]] = {"online": [], "offline": []}
    for pet in PETS:
        for result in answers(runs["methods"], pet)[1:]:
            for name, found in values.items():
                found.append(new_and_old(result, name)[place])
    idle = [new_and_old(result, ENSEMBLE)[place] for result in answers(runs["methods"], HEADS)[1:]]
    return {**{name: float(np.mean(found)) for name, found in values.items()}, "frozen heads": float(np.mean(idle))}


def newest(runs: Runs) -> dict[str, float]:
    """Accuracy of both experts on the task that was just learned."""
    return _by_age(runs, 0)


def older(runs: Runs) -> dict[str, float]:
    """Accuracy of both experts on the tasks before it."""
    return _by_age(runs, 1)


def less_forgetting(runs: Runs) -> dict[str, float]:
    """Forgetting with LAE and online only, means over the methods."""
    run = runs["methods"]
    with_lae, online = {p: forgotten(run, p) for p in PETS}, {p: forgotten(run, f"{p}-online") for p in PETS}
    details = {f"{p}, LAE": v for p, v in with_lae.items()} | {f"{p}, online only": v for p, v in online.items()}
    means = {"LAE": float(np.mean(list(with_lae.values()))), "online only": float(np.mean(list(online.values())))}
    return {**means, **details, "frozen heads": forgotten(run, HEADS)}


def backbones(runs: Runs) -> dict[str, float]:
    """Gain of LAE over sequential tuning on Swin and ConvNeXt."""
    run = runs["backbones"]
    gains = {name: last(run, name) - last(run, f"{name}-sequential") for name in ("swin", "convnext")}
    return {"smaller gain over sequential": min(gains.values()), "no gain": 0.0, **_table(run)}


def freezing(runs: Runs) -> dict[str, float]:
    """Last accuracy with the online expert frozen for none, half and all of the epochs of later tasks."""
    run = runs["methods"]
    none, throughout = last(run, "adapter-unfrozen"), last(run, "adapter-frozen-throughout")
    own = {"half of the epochs": last(run, "adapter"), "none": none, "all": throughout}
    return {**own, "better of none and all": max(none, throughout), "frozen heads": last(run, HEADS)}
