"""Sums between two log lines, kept on the device and read only when a line is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from omnitrain.api.results import Loss
from omnitrain.engine.engine import Engine

MEMBER = "member"
"""Of a batch: the name of the data that all its rows are of, where several are mixed; losses are told by it too."""
Log = Callable[[int, Mapping[str, float]], None]


class Tally:
    """Running sums of losses and weights since the last log line; skipped updates are left out.

    An update is noted by `add` for each micro-batch and `norm`, then kept or left out as `Engine.update` says: `keep_last`,
    `skip_last`, or `applied` where only the device knows. `close_interval` ends the interval of a log line, which is written
    by `flush` at the latest: on a GPU one interval later.
    noticed: told the step of a line and whether its updates had a weight.
    """

    def __init__(self, engine: Engine, noticed: Callable[[int, bool], None]) -> None:
        self._engine, self._noticed = engine, noticed
        self._sums: dict[str, list[Tensor]] = {}
        self._last: list[tuple[str, Tensor, Tensor]] = []
        self._norm: Tensor | float | None = None
        self._updates = 0
        self._skipped = 0
        self._waiting: tuple[int, dict[str, list[Tensor]], Tensor | float | None, float, int] | None = None
        self.latest: dict[str, float] = {}

    def add(self, loss: Loss, member: str | None = None) -> Tensor:
        """Note one micro-batch; return its weight as a tensor on the device. member: of a mixture, that the batch is of."""
        total = loss.total.detach()
        weight = loss.weight
        if not isinstance(weight, Tensor):
            weight = torch.tensor(float(weight), device=total.device)
        self._last.append(("loss", total, weight))
        if member is not None:
            self._last.append((f"loss/{member}", total, weight))
        for name, part in loss.parts.items():
            self._last.append((name, part.total.detach(), torch.as_tensor(part.weight, device=total.device)))
        for name, aux in loss.auxiliary.items():
            own = weight if aux.weight is None else torch.as_tensor(aux.weight, device=total.device)
            self._last.append((name, aux.total.detach(), own))
        return weight

    def norm(self, norm: Tensor | float) -> None:
        """Note the gradient norm of the newest update."""
        self._norm = norm

    def keep_last(self) -> None:
        """Count the noted micro-batches: their update was applied."""
        for name, total, weight in self._last:
            entry = self._sums.get(name)
            if entry is None:
                self._sums[name] = [total.float().clone(), weight.float().clone()]
            else:
                entry[0] += total
                entry[1] += weight
        self._last.clear()
        self._updates += 1

    def skip_last(self) -> None:
        """Leave the noted micro-batches out: their update was not applied."""
        self._last.clear()
        self.skipped(1)

    def skipped(self, count: int) -> None:
        """Count updates that were not applied."""
        self._skipped += count

    def applied(self, applied: Tensor) -> None:
        """Count the noted micro-batches where the device says that their update was applied."""
        zero = torch.zeros((), device=applied.device)
        self._last = [(n, torch.where(applied, t, zero), torch.where(applied, w, zero)) for n, t, w in self._last]
        self.keep_last()

    def close_interval(self, step: int, rate: float, log: Log) -> None:
        """End an interval: its line is written at the next one, so that the device is never waited for."""
        self.flush(log)
        if not self._sums and not self._skipped:
            return
        self._waiting = (step, self._sums, self._norm, rate, self._skipped)
        self._sums, self._updates, self._skipped = {}, 0, 0
        if self._engine.device.type == "cpu":
            self.flush(log)

    def flush(self, log: Log) -> None:
        """Write the line that waits, if any."""
        if self._waiting is None:
            return
        step, sums, norm, rate, skipped = self._waiting
        self._waiting = None
        values: dict[str, float] = {}
        for name, (total, weight) in sums.items():
            both = self._engine.sum(torch.stack([total, weight])).tolist() if self._engine.world > 1 else None
            a, b = both if both is not None else (total.item(), weight.item())
            if b:
                values[name] = a / b
        if norm is not None and sums:
            values["gradient_norm"] = float(norm)
        values["learning_rate"] = rate
        if skipped:
            values["skipped_updates"] = skipped
        self.latest = {"loss": values["loss"]} if "loss" in values else {}
        log(step, values)
        if "loss" in sums:
            self._noticed(step, "loss" in values)

    def state_dict(self) -> dict[str, Any]:
        """Return the sums of the present interval."""
        return {"sums": self._sums, "norm": self._norm, "updates": self._updates, "skipped": self._skipped}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue an interval."""
        device = self._engine.device
        self._sums = {k: [t.to(device) for t in v] for k, v in state["sums"].items()}
        self._norm = state["norm"]
        self._updates, self._skipped = state["updates"], state["skipped"]
