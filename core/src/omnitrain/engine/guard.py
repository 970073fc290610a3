"""The guard against updates that are not finite: counts them, names their examples, and ends what can't recover."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from omnitrain.api import Run
from omnitrain.errors import NumericalError

NAMED_EXAMPLES = 64


class Guard:
    """Watches the updates of a loop, as `Engine.update` reports them; a bad one is not applied and becomes an event.

    allowed: how many in a row may be bad. last_checkpoint: called before the end, to leave one to look at; takes the step
    of the update and returns the step of the newest checkpoint. updater: which of several optimisers it watches.
    """

    def __init__(self, run: Run, allowed: int, last_checkpoint: Callable[[int], int] | None = None, updater: str = "") -> None:
        self._run, self._allowed, self._last_checkpoint, self._updater = run, allowed, last_checkpoint, updater
        self._unread: list[tuple[int, Tensor, Sequence[Any]]] = []
        self.in_a_row = 0

    def note(self, step: int, applied: Tensor | bool, examples: Sequence[Any] = ()) -> None:
        """Take note of the update of a step: 1, 2, ... examples: ids, for the event.

        What only the device knows (a tensor) waits for `read`, so that the device is never waited for.
        Raises NumericalError after too many bad ones in a row.
        """
        if isinstance(applied, Tensor):
            self._unread.append((step, applied, examples))
        elif applied:
            self.in_a_row = 0
        else:
            self._bad(step, examples)

    def read(self) -> int:
        """Read from the device which of the noted updates were bad, and return how many.

        Call it once a log line, and before a checkpoint. Raises NumericalError after too many bad ones in a row.
        """
        unread, self._unread = self._unread, []
        flags = torch.stack([applied for _, applied, _ in unread]).tolist() if unread else []
        for (step, _, examples), applied in zip(unread, flags, strict=True):
            self.note(step, bool(applied), examples)
        return len(flags) - sum(map(bool, flags))

    def ended(self, steps: int) -> None:
        """Say that a training of `steps` updates is over. Raises NumericalError where none of them was applied."""
        if 0 < steps <= self.in_a_row:
            raise NumericalError(
                f"None of {steps} updates was applied, since each had a NaN or infinite loss or gradient: nothing was trained. "
                "events.jsonl names the examples; look at them or lower the learning rate."
            )

    def _bad(self, step: int, examples: Sequence[Any]) -> None:
        self.in_a_row += 1
        named = list(examples[:NAMED_EXAMPLES])
        named_updater = {"updater": self._updater} if self._updater else {}
        self._run.event("skipped update", **named_updater, step=step, reason="loss or gradient is not finite", examples=named)
        if self.in_a_row <= self._allowed:
            return
        last = self._last_checkpoint(step) if self._last_checkpoint is not None else None
        whose = f" of {self._updater}" if self._updater else ""
        saved = "" if last is None else f"The last checkpoint is of step {last}. "
        raise NumericalError(
            f"{self.in_a_row} updates{whose} in a row, up to step {step}, had a NaN or infinite loss or gradient and were not "
            f"applied; the weights are those before. {saved}events.jsonl names the examples; look at them or lower the "
            "learning rate."
        )

    def state_dict(self) -> dict[str, Any]:
        """Return how many of the newest updates were bad; call `read` before."""
        return {"in_a_row": self.in_a_row}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self._unread, self.in_a_row = [], int(state["in_a_row"])
