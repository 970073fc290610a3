"""What the experts answer on all tests seen, from one pass, and the tables and pictures of a whole run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from omnitrain.api import Data, Evaluation, Figure, Metric, Picture, Table
from omnitrain.engine import Engine, to_device
from omnitrain.errors import EnvironmentFault
from omnitrain_lae.data.feeding import in_order
from omnitrain_lae.models.learner import Learner
from omnitrain_lae.paper.ensemble import answer, task_of_class
from omnitrain_lae.paper.metrics import accuracy_by_task, incremental_accuracy, summarise

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
    learner: Learner, data: Data, task: int, settings: AnswerSettings, engine: Engine, tick: Any = None
) -> Answered:
    """Ask all experts about the tests of tasks 0..task, one pass for all of them, a batch at a time.

    tick: called after each batch with its size; it may raise Stopped.
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
                tick(len(labels[-1]))
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
            direction = "lower" if "forgetting" in what else "higher"
            metrics[what if name == ENSEMBLE else f"{name}/{what}"] = Metric(value, total, direction)  # type: ignore[arg-type]
    columns = list(rows[ENSEMBLE])
    table = Table(
        ("answers", *columns), [[name, *(rows[name][c] for c in columns)] for name in rows], "Each expert alone and together."
    )
    if not is_sequence(results):
        return Evaluation(metrics, {"experts": table})
    found = matrix(results)
    names = [f"task {j + 1}" for j in range(len(found))]
    cells = [[f"after {names[i]}", *row, *[""] * (len(found) - len(row))] for i, row in enumerate(found)]
    counts = results[-1].counts()
    curves = {
        name: [(float(i + 1), incremental_accuracy(row, counts)) for i, row in enumerate(matrix(results, name))]
        for name in rows
    }
    figure = Figure(curves, "tasks learned", "accuracy", "Accuracy on all tests seen so far.")
    return Evaluation(
        metrics,
        {"experts": table, "accuracy matrix": Table(("", *names), cells, "Accuracy of the ensemble on each task.")},
        figures={
            "accuracy": figure,
            "accuracy matrix": Picture(heat_map(found), caption="Rows: after learning a task. Columns: measured on it."),
        },
    )


def heat_map(rows: Sequence[Sequence[float]], cell: int = 34) -> str:
    """Draw an accuracy matrix as SVG: the darker, the higher, with the percentage in each cell."""
    count = len(rows)
    side = cell * count + 30
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{side}" height="{side}" font-family="sans-serif" font-size="10">']
    for i in range(count):
        middle = 30 + cell * i + cell / 2
        parts.append(f'<text x="{middle:g}" y="20" text-anchor="middle">{i + 1}</text>')
        parts.append(f'<text x="20" y="{middle + 4:g}" text-anchor="end">{i + 1}</text>')
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            x, y = 30 + cell * j, 30 + cell * i
            light = 96 - 56 * min(max(value, 0.0), 1.0)
            ink = "#fff" if light < 60 else "#222"
            parts.append(f'<rect x="{x}" y="{y}" width="{cell}" height="{cell}" fill="hsl(212,60%,{light:.0f}%)"/>')
            place = f'x="{x + cell / 2:g}" y="{y + cell / 2 + 4:g}"'
            parts.append(f'<text {place} text-anchor="middle" fill="{ink}">{100 * value:.0f}</text>')
    return "".join([*parts, "</svg>"])


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
