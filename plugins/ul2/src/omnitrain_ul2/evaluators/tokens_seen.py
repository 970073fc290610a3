"""Evaluator `ul2/tokens-seen`: what training has used of each denoiser."""

from __future__ import annotations

from typing import Any

from omnitrain.api import Context, Evaluation, Metric, Run, Table
from omnitrain.errors import UsageError
from omnitrain_ul2.configs.evaluators import TokensSeenConfig
from omnitrain_ul2.data.denoising import denoising_data


class TokensSeen:
    """Examples and tokens of each denoiser that training has used so far, and the share of the batches they fill."""

    def check_data(self, data: Any, run: Run, /) -> None:
        """See `omnitrain.api.ChecksData`: other data is refused before training."""
        denoising_data(data, "ul2/tokens-seen")

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Read the counts of the stage's training batches, of this process.

        Raises UsageError outside of a training stage.
        """
        data = denoising_data(data, "ul2/tokens-seen")
        if data.training is None:
            raise UsageError("ul2/tokens-seen counts training batches; list it in the evaluators of a core/fit stage.")
        seen = data.training.seen
        names = [denoiser.name for denoiser in data.mixture.denoisers]
        sides = ("examples", "input tokens", "target tokens")
        metrics = {
            f"{name}/{side}": Metric(float(count), int(counts[0]))
            for name, counts in zip(names, seen.by_task, strict=True)
            for side, count in zip(sides, counts.tolist(), strict=True)
        }
        names_of_fill = ("fill",) if len(seen.room) == 1 else ("fill of inputs", "fill of targets")
        for name, used, room in zip(names_of_fill, seen.used.tolist(), seen.room.tolist(), strict=True):
            metrics[name] = Metric(used / max(room, 1), room, "higher")
        totals = seen.by_task.sum(axis=0)
        rows = [[name, *counts] for name, counts in zip(names, seen.by_task.tolist(), strict=True)]
        rows.append(["all", *totals.tolist()])
        return Evaluation(metrics, {"tokens seen": Table(("denoiser", *sides), rows, "Trained on so far.")})


def build(config: TokensSeenConfig, context: Context) -> TokensSeen:
    """Make the evaluator `ul2/tokens-seen`."""
    return TokensSeen()
