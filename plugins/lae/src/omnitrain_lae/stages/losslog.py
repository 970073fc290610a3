"""What is kept of the steps between two lines of the log: their number, their mean loss, and a guard against bad ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from omnitrain.api import Batch, Loss, Run
from omnitrain.engine import Guard


class LossLog:
    """The steps of a run and the losses since the last line, summed in float64 whatever the model's type.

    Numbers are read from the device by `settle` only, not at every step.
    run: where lines and events go. every: steps between two lines. allowed: steps in a row that may fail.
    """

    def __init__(self, run: Run, every: int, allowed: int) -> None:
        self._run, self._every, self._guard = run, every, Guard(run, allowed)
        self.total = 0
        self._sum, self._weight = 0.0, 0.0
        self._unread: list[tuple[Tensor, float, Tensor | bool]] = []

    def add(self, loss: Loss, applied: Tensor | bool, task: int, batch: Batch) -> None:
        """Take note of a step. applied: whether its update was made. task: from 1. batch: whose ids a bad step names.

        Raises NumericalError after too many bad steps in a row.
        """
        self.total += 1
        self._unread.append((loss.total.detach(), float(loss.weight), applied))
        ids = None if applied is True else batch.get("example_ids")
        self._guard.note(self.total, applied, () if ids is None else ids.tolist())
        if self.total % self._every == 0:
            self.write(task)

    def write(self, task: int) -> None:
        """Write a line of the steps since the last one, if there were any that counted.

        Raises NumericalError after too many bad steps in a row.
        """
        self.settle()
        if self._weight:
            self._run.log(self.total, {"loss": self._sum / self._weight, "task": task})
            self._sum, self._weight = 0.0, 0.0

    def settle(self) -> None:
        """Read the losses that are still on the device. Raises NumericalError after too many bad steps in a row."""
        self._guard.read()
        unread, self._unread = self._unread, []
        for loss, weight, applied in unread:
            if bool(applied):
                self._sum += float(loss)
                self._weight += weight

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs to go on."""
        self.settle()
        return {"total": self.total, "sum": self._sum, "weight": self._weight, "guard": self._guard.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.total, self._sum, self._weight = int(state["total"]), float(state["sum"]), float(state["weight"])
        self._guard.load_state_dict(state["guard"])
