"""From the runs of claims to their numbers: of ul2/arm (C2 to C4) and of ul2/finetune (C1). Light: no torch."""

from __future__ import annotations

from collections.abc import Mapping

from omnitrain.api import FinishedRun
from omnitrain_ul2.paper.gains import gains_over, mean_gains, worst_regret

MODES = ("matching", "R", "X", "S", "none")
# The evaluators targets-R etc. of ul2/arm: the loss on whole targets under each mode.
TARGET_MODES = ("R", "X", "S", "none")
TASKS: Mapping[str, tuple[str, ...]] = {
    "regular": ("R(3,0.15)", "R(8,0.15)"),
    "extreme": ("X(3,0.5)", "X(8,0.5)", "X(24,0.15)", "X(24,0.5)"),
    "prefix LM": ("S(0.5)",),
}
ANCHORS = ("span corruption", "causal LM")
OBJECTIVE = "UL2"
# Column to (stage, task, metric); fine-tuned, one-shot and language modelling, as in the paper's tables.
COLUMNS: Mapping[str, tuple[str, str, str]] = {
    "kinds, fine-tuned accuracy": ("measure-kinds", "kinds", "accuracy"),
    "summaries, fine-tuned ROUGE-L": ("measure-summaries", "summaries", "rougeLsum"),
    "kinds, one-shot log-likelihood": ("measure", "kinds", "log-likelihood"),
    "summaries, one-shot log-likelihood": ("measure", "summaries", "log-likelihood"),
}
LANGUAGE_MODEL = "text, log-likelihood"


def losses(run: FinishedRun) -> dict[str, dict[str, float]]:
    """Return loss per token of text, by mode and denoiser, of a finished run of ul2/arm.

    Raises DataError when the run lacks an evaluation.
    """
    return {mode: run.values("measure", mode) for mode in MODES}


def target_losses(run: FinishedRun) -> dict[str, dict[str, float]]:
    """Return loss per target token, by mode and denoiser. Raises DataError when the run lacks an evaluation."""
    return {mode: run.values("measure", f"targets-{mode}") for mode in TARGET_MODES}


def task_losses(run: FinishedRun) -> dict[str, float]:
    """Return the loss on each task, the mean over its denoisers, each in the mode that serves it best."""
    by_mode = losses(run)
    best = {name: min(values[name] for values in by_mode.values()) for name in by_mode["none"]}
    return {task: sum(best[name] for name in names) / len(names) for task, names in TASKS.items()}


def _regrets(runs: Mapping[str, FinishedRun]) -> dict[str, float]:
    return worst_regret({name: task_losses(run) for name, run in runs.items()})


def objective_matrix(runs: Mapping[str, FinishedRun]) -> dict[str, float]:
    """Worst-case regret of every arm, and the smallest of the baselines."""
    regrets = _regrets(runs)
    details = {f"{name}, {task}": loss for name, run in runs.items() for task, loss in task_losses(run).items()}
    return {**regrets, "best baseline": min(v for name, v in regrets.items() if name != "UL2"), **details}


def modes(runs: Mapping[str, FinishedRun]) -> dict[str, float]:
    """Loss under the right mode and under the wrong one, mean of prefix LM and regular infilling."""
    by_mode = target_losses(runs["UL2"])
    prefix, infilling = "S(0.5)", "R(3,0.15)"
    return {
        "right mode": (by_mode["S"][prefix] + by_mode["R"][infilling]) / 2,
        "wrong mode": (by_mode["R"][prefix] + by_mode["S"][infilling]) / 2,
        "no mode": (by_mode["none"][prefix] + by_mode["none"][infilling]) / 2,
        **{f"prefix LM under {mode}": by_mode[mode][prefix] for mode in ("S", "R", "X", "none")},
        **{f"infilling under {mode}": by_mode[mode][infilling] for mode in ("S", "R", "X", "none")},
    }


def share_of_s(runs: Mapping[str, FinishedRun]) -> dict[str, float]:
    """Worst-case regret of every share of sequential denoising."""
    regrets = _regrets(runs)
    shares = {"0 %": regrets["S 0 %"], "20 %": regrets["UL2"], "50 %": regrets["S 50 %"], "100 %": regrets["S 100 %"]}
    return {**shares, "best other share": min(v for name, v in shares.items() if name != "20 %")}


def scores(run: FinishedRun) -> dict[str, float]:
    """Return the score of every column of a finished run, each in the mode that serves it best; higher is better.

    Raises DataError when the run lacks an evaluation.
    """
    found = {}
    for column, (stage, task, metric) in COLUMNS.items():
        values = run.values(stage, "ul2/tasks")
        found[column] = max(v for name, v in values.items() if name.startswith(f"{task}/") and name.endswith(f"/{metric}"))
    losses = [run.values("measure", f"prefix-lm-{mode}") for mode in ("S", "R", "none")]
    found[LANGUAGE_MODEL] = -min(value for by_denoiser in losses for value in by_denoiser.values())
    return found


def finetuning(runs: Mapping[str, FinishedRun]) -> dict[str, float]:
    """Mean relative gain (%) of UL2 over each anchor, the smaller of both, and all scores."""
    arms = {name: scores(run) for name, run in runs.items()}
    means = mean_gains(arms, ANCHORS)
    over = {anchor: 100 * means[anchor][OBJECTIVE] for anchor in ANCHORS}
    return {
        "UL2": min(over.values()),
        "no gain": 0.0,
        **{f"mean gain over {anchor} (%)": gain for anchor, gain in over.items()},
        **{
            f"gain over {anchor}, {column} (%)": 100 * gain
            for anchor in ANCHORS
            for column, gain in gains_over(arms, anchor)[OBJECTIVE].items()
        },
        **{f"{name}, {column}": score for name, values in arms.items() for column, score in values.items()},
    }
