"""What the experts answer on all tests seen, from one pass, and the tables and pictures of a whole run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from omnitrain.api import Data, Direction, Evaluation, Figure, Heatmap, Metric, Table
from omnitrain.engine import Engine, in_order, to_device
from omnitrain.errors import EnvironmentFault
from omnitrain_lae.models.learner import Learner
from omnitrain_lae.paper.ensemble import answer, task_of_class
from omnitrain_tuning.metrics import accuracy_by_task, incremental_accuracy, summarise

Ints = NDArray[np.int64]
ENSEMBLE, TASK_KNOWN = "ensemble", "task known"


@dataclass
class Answered:
    """The answers after one task. after: that task, from 0. labels, tasks: int64[tests]. answers: predicted new labels by
    expert name, "ensemble" and "task known". logits: float[experts, tests, classes], where they are kept.
    """

    after: int
    labels: Ints
    tasks: Ints
    answers: dict[str, Ints]
    logits: NDArray[Any] | None = None

    def accuracies(self, name: str = ENSEMBLE) -> list[float]:
        """Return the accuracy on each task."""
        return accuracy_by_task(self.answers[name], self.labels, self.tasks)

    def counts(self) -> list[int]:
        """Return the tests of each task."""
        return [int(count) for count in np.bincount(self.tasks, minlength=self.after + 1)]

    def state(self) -> dict[str, Any]:
        """Return plain data and arrays for a checkpoint."""
        logits = {} if self.logits is None else {"logits": self.logits}
        return {"after": self.after, "labels": self.labels, "tasks": self.tasks, "answers": self.answers, **logits}

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> Answered:
        """Make it again from a checkpoint."""
        return cls(int(state["after"]), state["labels"], state["tasks"], dict(state["answers"]), state.get("logits"))


@dataclass
class AnswerSettings:
    """How to evaluate. sizes: classes of each task. only_offline: decide without the online expert."""

    sizes: Sequence[int]
    batch_size: int = 256
    only_offline: bool = False
    keep_logits: bool = False


@torch.no_grad()
def answers_after(
    learner: Learner, data: Data, task: int, settings: AnswerSettings, engine: Engine, tick: Callable[[], None] | None = None
) -> Answered:
    """Ask all experts about the tests of tasks 0..task, one pass for all of them, a batch at a time.

    tick: called after each batch; it may raise Stopped.
    """
    learner.eval()
    names = learner.expert_names()
    task_of = task_of_class(settings.sizes[: task + 1], engine.device)
    labels, tasks, logits = [], [], []
    found: dict[str, list[Ints]] = {name: [] for name in (*names, ENSEMBLE, TASK_KNOWN)}
    for number in range(task + 1):
        for raw in in_order(data, f"test/{number + 1}", settings.batch_size):
            batch = to_device(raw, engine.device)
            with engine.autocast():
                z = learner.expert_logits(batch, names)
            answers = answer(z.float() if z.dtype == torch.bfloat16 else z, batch["labels"], task_of, settings.only_offline)
            labels.append(batch["labels"].cpu().numpy())
            tasks.append(np.full(len(labels[-1]), number, np.int64))
            for name, given in zip(names, answers.experts, strict=True):
                found[name].append(given.cpu().numpy())
            found[ENSEMBLE].append(answers.ensemble.cpu().numpy())
            found[TASK_KNOWN].append(answers.task_known.cpu().numpy())
            if settings.keep_logits:
                logits.append(z.cpu().numpy())
            if tick is not None:
                tick()
    kept = np.concatenate(logits, axis=1) if logits else None
    joined = {name: np.concatenate(parts) for name, parts in found.items()}
    return Answered(task, np.concatenate(labels), np.concatenate(tasks), joined, kept)


def matrix(results: Sequence[Answered], name: str = ENSEMBLE) -> list[list[float]]:
    """Return the accuracy matrix of an expert; where it did not exist yet, the ensemble of that time stands for it."""
    return [result.accuracies(name if name in result.answers else ENSEMBLE) for result in results]


def is_sequence(results: Sequence[Answered]) -> bool:
    """Whether there is an answer after every task, as joint training has not."""
    return [result.after for result in results] == list(range(len(results)))


def expert_rows(results: Sequence[Answered]) -> dict[str, dict[str, float]]:
    """Return the summary of every expert, the ensemble and the answers with the task known."""
    names = list(results[-1].answers)
    counts = results[-1].counts()
    if not is_sequence(results):
        last = results[-1]
        return {n: {"last accuracy": incremental_accuracy(last.accuracies(n), counts)} for n in names}
    return {name: dict(summarise(matrix(results, name), counts)) for name in names}


def new_and_old(result: Answered, name: str) -> tuple[float, float]:
    """Return an expert's accuracy on the newest task and, over all tests of them, on the older ones."""
    right = result.answers[name] == result.labels
    newest = result.tasks == result.after
    return float(right[newest].mean()), float(right[~newest].mean()) if (~newest).any() else float("nan")


def evaluation(results: Sequence[Answered]) -> Evaluation:
    """Return metrics, tables, curves and the heat map of a run."""
    rows = expert_rows(results)
    total = len(results[-1].labels)
    metrics: dict[str, Metric] = {}
    for name, values in rows.items():
        for what, value in values.items():
            direction: Direction = "lower" if "forgetting" in what else "higher"
            metrics[what if name == ENSEMBLE else f"{name}/{what}"] = Metric(value, total, direction)
    columns = list(rows[ENSEMBLE])
    table = Table(
        ("answers", *columns), [[name, *(rows[name][c] for c in columns)] for name in rows], "Each expert alone and together."
    )
    if not is_sequence(results):
        return Evaluation(metrics, {"experts": table})
    found = matrix(results)
    names = [f"task {j + 1}" for j in range(len(found))]
    after = [f"after {name}" for name in names]
    cells = [[name, *row, *[""] * (len(found) - len(row))] for name, row in zip(after, found, strict=True)]
    square = [[*row, *[None] * (len(found) - len(row))] for row in found]
    counts = results[-1].counts()
    curves = {
        name: [(float(i + 1), incremental_accuracy(row, counts)) for i, row in enumerate(matrix(results, name))]
        for name in rows
    }
    said = "Accuracy of the ensemble on each task."
    return Evaluation(
        metrics,
        {"experts": table, "accuracy matrix": Table(("", *names), cells, said)},
        figures={
            "accuracy": Figure(curves, "tasks learned", "accuracy", "Accuracy on all tests seen so far."),
            "accuracy matrix": Heatmap(after, names, square, scale="accuracy", low=0, high=1, caption=said),
        },
    )


def write_answers(results: list[Answered], directory: Path) -> None:
    """Write an .npz a task: labels, tasks, and the answers of every expert as `answers/NAME`."""
    for result in results:
        arrays = {"labels": result.labels, "tasks": result.tasks}
        arrays |= {f"answers/{name}": given for name, given in result.answers.items()}
        if result.logits is not None:
            arrays["logits"] = result.logits
        np.savez_compressed(directory / f"after-{result.after + 1:03d}.npz", allow_pickle=False, **arrays)


def read_answers(directory: Path) -> list[Answered]:
    """Read what `write_answers` wrote. Raises EnvironmentFault where there is nothing."""
    files = sorted(directory.glob("after-*.npz"))
    if not files:
        raise EnvironmentFault(f"{directory} holds no answers; run the stage lae/continual again.")
    results = []
    for file in files:
        with np.load(file, allow_pickle=False) as stored:
            answers = {n.removeprefix("answers/"): stored[n] for n in stored if n.startswith("answers/")}
            logits = stored.get("logits", None)
            after = int(file.stem.removeprefix("after-")) - 1
            results.append(Answered(after, stored["labels"], stored["tasks"], answers, logits))
    return results
