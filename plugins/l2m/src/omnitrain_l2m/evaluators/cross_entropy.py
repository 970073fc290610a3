"""Evaluator `l2m/cross-entropy`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from omnitrain.api import Context, Evaluation, Metric, Run, Table, mean_metric
from omnitrain.engine import in_order, to_device
from omnitrain.errors import UsageError
from omnitrain_l2m.configs.evaluators import CrossEntropyConfig
from omnitrain_l2m.data.tasks import TasksData
from omnitrain_l2m.models.network import Mddt
from omnitrain_l2m.models.tuned import Tuned
from omnitrain_l2m.objectives import action_losses


@torch.no_grad()
def window_losses(
    model: Mddt | Tuned, data: TasksData, split: str, batch_size: int, run: Run
) -> tuple[list[float], list[float], dict[int, int]]:
    """Return (mean cross entropy of each window's actions, share of right ones, windows by chosen entry) of a split."""
    device, losses, right = next(model.parameters()).device, [], []
    entries: dict[int, int] = {}
    for raw in in_order(data, split, batch_size):
        run.stop_if_asked()
        batch = to_device(raw, device)
        logits = model(batch)
        own, hits = action_losses(logits, batch, model.tokeniser)
        sizes = (batch["action_mask"] & batch["attention_mask"][..., None]).sum((1, 2)).tolist()
        losses += [float(part.mean()) for part in torch.split(own.double(), sizes)]
        right += [float(part.double().mean()) for part in torch.split(hits, sizes)]
        chosen = getattr(model, "chosen", None)
        if chosen is not None:
            for entry in chosen[:, 0].tolist():
                entries[entry] = entries.get(entry, 0) + 1
    return losses, right, entries


class CrossEntropy:
    """See `CrossEntropyConfig`."""

    def __init__(self, config: CrossEntropyConfig) -> None:
        self.config = config

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Return means over tasks, and a row for each task. Raises UsageError for other models and data."""
        if not isinstance(data, TasksData):
            raise UsageError("l2m/cross-entropy measures on l2m/tasks; give the stage such data.")
        if not isinstance(predictor, Mddt | Tuned):
            raise UsageError(f"l2m/cross-entropy measures l2m/mddt, not a {type(predictor).__name__}.")
        if self.config.split not in ("train", "valid") or self.config.split not in data.splits():
            raise UsageError(
                f"l2m/cross-entropy: the data has no split {self.config.split!r}; it has {', '.join(data.splits()[:2])}."
            )
        rows: list[list[Any]] = []
        metrics: dict[str, Metric] = {}
        for name in data.task_names():
            split = f"{self.config.split}/{name}"
            if not len(data.examples(split)):
                run.event(
                    "no windows", note=f"the task {name} has none in {self.config.split!r}; raise valid_fraction or give more"
                )
                continue
            losses, right, _ = window_losses(predictor, data, split, self.config.batch_size, run)
            metrics[f"cross-entropy/{name}"] = mean_metric(losses, "lower", unit="nats")
            rows.append([name, float(np.mean(losses)), float(np.mean(right)), len(losses)])
        metrics["cross-entropy"] = Metric(float(np.mean([row[1] for row in rows])), len(rows), "lower", unit="nats")
        metrics["accuracy"] = Metric(float(np.mean([row[2] for row in rows])), len(rows), "higher")
        table = Table(("task", "cross entropy", "accuracy", "windows"), rows, "Actions of held-out windows.")
        return Evaluation(metrics, {"tasks": table})


def build(config: CrossEntropyConfig, context: Context) -> CrossEntropy:
    """Make the evaluator `l2m/cross-entropy`."""
    return CrossEntropy(config)
