"""Evaluator `eft/grid`: scale of pre-training x scale of fine-tuning, with the rows of both bases (section 4.1)."""

from __future__ import annotations

from typing import Any

from omnitrain.api import Context, Evaluation, Metric, Run, Table, ratio_metric
from omnitrain_eft.configs.evaluators import GridConfig
from omnitrain_eft.evaluators.teacher_forcing import (
    MemberLogits,
    PartSums,
    batches_of,
    check_dialogues,
    composition_of,
    dialogues_of,
    improvement,
    measure_arms,
    member_logits,
)
from omnitrain_eft.paper.composition import Dials

_SCALED = ("up-scaled", "down-scaled", "large LoRA")


class Grid:
    """Loss and accuracy of every arm on each part of held-out replies."""

    def __init__(self, config: GridConfig, seed: int) -> None:
        self.config, self._seed = config, seed

    def check_data(self, data: Any, run: Run, /) -> None:
        """See `omnitrain.api.ChecksData`: other data, and a split that is not there, are refused."""
        check_dialogues(data, "eft/grid", self.config.split)

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Read every dialogue once with all members.

        Raises UsageError for other models or data.
        """
        model, dialogues = composition_of(predictor, "eft/grid"), dialogues_of(data, "eft/grid")
        config, sums = self.config, PartSums()
        arms: list[str] = []
        with run.progress("grid") as progress:
            for batch in batches_of(dialogues, config.split, config.rows, config.batch_size):
                logits = member_logits(model, batch)
                found = {**logits.arms(model.dials), **self._turned(logits, model.dials)}
                arms = list(found)
                measure_arms(sums, found, logits.tuned, batch)
                progress.advance(len(batch["input_ids"]))
        return self._evaluation(sums, arms)

    def _turned(self, logits: MemberLogits, dials: Dials) -> dict[str, Any]:
        config = self.config
        changed = {
            **{f"alpha {a:g}": dials.turned(alpha=a, beta_up=1.0) for a in config.alphas},
            **{f"beta_up {b:g}": dials.turned(beta_up=b, alpha=1.0) for b in config.betas_up},
            **{f"delta_top_p {p:g}": dials.turned(delta_top_p=p) for p in config.delta_top_ps},
        }
        return {name: logits.composed(turned) for name, turned in changed.items()}

    def _evaluation(self, sums: PartSums, arms: list[str]) -> Evaluation:
        metrics: dict[str, Metric] = {}
        parts = sums.parts()
        kinds = ["nll", "accuracy", *(["kl"] if "large fine-tuned" in arms else [])]
        for arm in arms:
            for part in parts:
                for kind in kinds:
                    total, counts = sums.of(arm, kind, part)
                    direction: Any = "higher" if kind == "accuracy" else "lower"
                    unit = "" if kind == "accuracy" else "nats/token"
                    metrics[f"{arm}/{part} {kind}"] = ratio_metric(total, counts, direction, unit, n=int(counts.sum()))
        metrics |= self._improvements(sums, arms, parts)
        columns = [f"{part} {kind}" for part in parts for kind in kinds]
        rows = [[arm, *(metrics[f"{arm}/{column}"].value for column in columns)] for arm in arms]
        tables = {"grid": Table(("model", *columns), rows, "Teacher-forced on held-out replies, by part of the reply.")}
        gained = [
            [name.partition("/")[0], name.partition("/")[2], m.value, *(m.interval or ("", ""))]
            for name, m in metrics.items()
            if name.endswith("improvement")
        ]
        if gained:
            caption = "(model - small fine-tuned) / (large fine-tuned - small fine-tuned) of the log-likelihood; 95 % interval."
            tables["normalised improvement"] = Table(("model", "part", "improvement", "low", "high"), gained, caption)
        return Evaluation(metrics, tables)

    def _improvements(self, sums: PartSums, arms: list[str], parts: list[str]) -> dict[str, Metric]:
        if "large fine-tuned" not in arms:
            return {}
        found = {}
        for arm in arms:
            if arm not in _SCALED and arm.partition(" ")[0] not in ("alpha", "beta_up", "delta_top_p"):
                continue
            for part in parts:
                three = [sums.of(name, "nll", part) for name in (arm, "small fine-tuned", "large fine-tuned")]
                gained = improvement(three, self._seed)
                if gained is not None:
                    found[f"{arm}/{part} improvement"] = gained
        return found


def build(config: GridConfig, context: Context) -> Grid:
    """Make the evaluator `eft/grid`."""
    return Grid(config, context.seed("bootstrap"))
