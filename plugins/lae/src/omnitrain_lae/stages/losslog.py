"""What is kept of the steps between two lines of the log: the mean loss, and how many steps in a row were not applied."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from omnitrain.api import Loss
from omnitrain.errors import NumericalError


class LossLog:
    """The losses since the last line. Numbers are read from the device by `settle` only, not at every step.

    run: where lines and events go. every: steps between two lines. allowed: steps in a row that may fail.
    """

    def __init__(self, run: Any, every: int, allowed: int) -> None:
        self._run, self._every, self._allowed = run, every, allowed
        self._sum, self._weight, self._skipped = 0.0, 0.0, 0
        self._unread: list[tuple[Tensor, float, Tensor | bool, int, int]] = []

    def add(self, loss: Loss, applied: Tensor | bool, total: int, task: int) -> None:
        """Keep a step. applied: whether its update was made. total: steps of the run so far. task: from 1."""
        self._unread.append((loss.total.detach(), float(loss.weight), applied, total, task))
        # What the processor knows already is judged at once: a run of bad steps ends at the first one too many.
        if applied is False or total % self._every == 0:
            self.write(total, task)

    def write(self, total: int, task: int, last: bool = False) -> None:
        """Read what is open, and write a line when one is due. last: the end of a task, always a line.

        Raises NumericalError after too many bad steps in a row.
        """
        self.settle()
        if self._weight and (last or total % self._every == 0):
            self._run.log(total, {"loss": self._sum / self._weight, "task": task})
            self._sum, self._weight = 0.0, 0.0

    def settle(self) -> None:
        """Read the losses that are still on the device. Raises NumericalError after too many bad steps in a row."""
        unread, self._unread = self._unread, []
        for loss, weight, applied, total, task in unread:
            if bool(applied):
                self._sum += float(loss)
                self._weight += weight
                self._skipped = 0
                continue
            self._skipped += 1
            self._run.event("skipped update", step=total, reason="loss or gradient is not finite")
            if self._skipped > self._allowed:
                raise NumericalError(
                    f"{self._skipped} steps in a row, up to step {total} in task {task}, had a NaN or infinite loss or "
                    "gradient and were not applied. Lower the learning rate or look at the images of that task."
                )

    def state_dict(self) -> list[float]:
        """Return what `load_state_dict` needs to go on, after `settle`."""
        return [self._sum, self._weight, self._skipped]

    def load_state_dict(self, state: list[float]) -> None:
        """Go on from a state."""
        self._sum, self._weight, self._skipped = float(state[0]), float(state[1]), int(state[2])
