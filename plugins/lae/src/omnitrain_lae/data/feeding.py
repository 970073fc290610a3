"""The batches of one task: whole epochs in a drawn order, without the last smaller batch where that is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from omnitrain.api import Batch, BatchPlan, Data, Fields, Gathers, OrdersBatches
from omnitrain.engine import make_feed
from omnitrain.errors import DataError


def steps_per_epoch(examples: int, batch_size: int, drop_last: bool, where: str) -> int:
    """Return the steps of an epoch.

    Raises DataError when dropping the last batch leaves none.
    """
    steps = examples // batch_size if drop_last else -(-examples // batch_size)
    if not steps:
        raise DataError(
            f"{where} has {examples} training examples, fewer than batch_size {batch_size}, so that drop_last leaves no step; "
            "lower batch_size or set drop_last: false."
        )
    return steps


class TaskFeed:
    """The steps of one task over one split. The order is a function of the plan's seed, so that it resumes anywhere."""

    def __init__(self, data: Data, split: str, plan: BatchPlan, drop_last: bool, workers: int = 0) -> None:
        count = len(data.examples(split))
        self.steps = steps_per_epoch(count, plan.batch_size, drop_last, split)
        self._feed = make_feed(data, split, plan, 1, workers)
        # Core's feeds give the smaller last batch; where it is dropped, they are moved past it.
        self._in_epoch = self.steps if isinstance(data, OrdersBatches) else -(-count // plan.batch_size)
        self._step = 0

    def seek(self, step: int) -> None:
        """Go to a step of the task, counted from 0; for data that orders its own batches only forwards."""
        if self._in_epoch == self.steps and step == self._step:
            return
        epoch, place = divmod(step, self.steps)
        self._feed.load_state_dict({"update": epoch * self._in_epoch + place})
        self._step = step

    def next(self) -> Batch:
        """Return the batch of the next step."""
        batches = self._feed.next()
        if batches is None:
            raise DataError("The data ended before the steps of the task were done; let it repeat.")
        self._step += 1
        if self._step % self.steps == 0 and self._in_epoch > self.steps:
            self._feed.load_state_dict({"update": self._step // self.steps * self._in_epoch})
        return batches[0]

    def state_dict(self) -> dict[str, Any]:
        """Return where it stands."""
        return {"step": self._step, "feed": self._feed.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from there."""
        self._step = int(state["step"])
        self._feed.load_state_dict(state["feed"])

    def close(self) -> None:
        """End worker processes."""
        self._feed.close()


class FeatureData:
    """Features of a task as data of their own: what the head is trained on while the backbone stands still."""

    fingerprint = "features of the current task"

    def __init__(self, features: Tensor, labels: Tensor) -> None:
        self.batch: Fields = {"features": "float32[batch, width]", "labels": "int64[batch]"}
        self._features, self._labels = features, labels

    def splits(self) -> Sequence[str]:
        """Name the only split."""
        return ["train"]

    def examples(self, split: str) -> range:
        """Return the row numbers."""
        return range(len(self._labels))

    def collate(self, examples: Sequence[int]) -> Batch:
        """Make a batch of row numbers."""
        return self.gather("train", np.asarray(examples, np.int64))

    def gather(self, split: str, rows: np.ndarray) -> Batch:
        """Return the features and labels of the rows."""
        chosen = torch.from_numpy(rows).to(self._features.device)
        return {"features": self._features[chosen], "labels": self._labels[chosen]}


def can_be_cached(data: Data) -> bool:
    """Whether an example is the same in every epoch: data that gathers rows promises it."""
    return isinstance(data, Gathers) and not isinstance(data, OrdersBatches)
