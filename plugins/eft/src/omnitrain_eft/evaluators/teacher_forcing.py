"""Teacher forcing: all models read given texts once, and every arm is a combination of the same logits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from omnitrain.api import Batch, Metric, bootstrap_metric
from omnitrain.engine import check_split, in_order
from omnitrain.errors import UsageError
from omnitrain_eft.data.dialogues import DialoguesData
from omnitrain_eft.data.prompted import PARTS
from omnitrain_eft.models.composition import LORA, TUNED, CompositionModel
from omnitrain_eft.models.ensemble import Ensemble
from omnitrain_eft.models.predictor import CompositionPredictor
from omnitrain_eft.paper.composition import Dials, combine, in_float32, normalised_improvement, token_log_probs

Floats = NDArray[np.float64]


def composition_of(predictor: Any, evaluator: str) -> CompositionModel:
    """Return the composition behind a predictor. Raises UsageError for another predictor."""
    if not isinstance(predictor, CompositionPredictor):
        raise UsageError(f"{evaluator} measures compositions; its model must be eft/composition, for instance from eft/compose")
    return predictor.model


def dialogues_of(data: Any, evaluator: str) -> DialoguesData:
    """Return data with replies in parts. Raises UsageError for other data."""
    if not isinstance(data, DialoguesData):
        raise UsageError(f"{evaluator} needs eft/dialogues as its data")
    return data


def check_dialogues(data: Any, evaluator: str, split: str) -> None:
    """Refuse data that an evaluator can't measure on. Raises UsageError for other data, DataError without the split."""
    check_split(dialogues_of(data, evaluator), split)


@dataclass
class MemberLogits:
    """Logits [batch, length, vocabulary] of every member, float32. small: by place in the ensemble."""

    ensemble: Ensemble
    large: Tensor
    small: list[Tensor]
    tuned: Tensor | None
    lora: Tensor | None

    def composed(self, dials: Dials) -> Tensor:
        """Return z of the composition."""
        return self.ensemble.combined(self.large, self.small, dials)

    def small_composed(self, dials: Dials) -> Tensor:
        """Return z of the experts on the small base: the fine-tuned small model, with several experts their mixture."""
        base = self.small[self.ensemble.shared_base]
        return self.ensemble.combined(base, self.small, Dials(dials.alpha, 1.0, dials.weights, None, dials.base_floor))

    def down_scaled(self, dials: Dials) -> Tensor | None:
        """Return z of the small base with what fine-tuning changed in the large model, None without the tuned one."""
        if self.tuned is None:
            return None
        base = self.small[self.ensemble.shared_base]
        return combine(base, [self.tuned], [self.large], Dials(base_floor=dials.base_floor))

    def arms(self, dials: Dials) -> dict[str, Tensor]:
        """Return z of everything that the grid shows."""
        found: dict[str, Tensor | None] = {
            "small base": self.small[self.ensemble.shared_base],
            "large base": self.large,
            "small fine-tuned": self.small_composed(dials),
            "large fine-tuned": self.tuned,
            "large LoRA": self.lora,
            "up-scaled": self.composed(dials),
            "down-scaled": self.down_scaled(dials),
        }
        return {name: z for name, z in found.items() if z is not None}


@torch.no_grad()
def member_logits(model: CompositionModel, batch: Batch) -> MemberLogits:
    """Run every member once over a batch's `input_ids`; rows beyond the shared vocabulary are cut."""
    ensemble = model.ensemble()

    def read(member: Any) -> Tensor:
        device = next(member.parameters()).device
        inputs = {name: batch[name].to(device) for name in ("input_ids", "attention_mask")}
        logits = member(**inputs, use_cache=False).logits
        return in_float32(logits[..., : ensemble.vocabulary])

    extra = [read(model.members[name]) if name in model.members else None for name in (TUNED, LORA)]
    return MemberLogits(ensemble, read(ensemble.large), [read(m) for m in ensemble.small], extra[0], extra[1])


def batches_of(data: DialoguesData, split: str, rows: int | None, batch_size: int) -> Iterator[Batch]:
    """Yield the batches of a split in order, of its first `rows` dialogues where that is given."""
    most = None if rows is None else -(-rows // batch_size)
    for number, batch in enumerate(in_order(data, split, batch_size, most=most)):
        left = batch_size if rows is None else rows - number * batch_size
        ids = batch["example_ids"]
        yield batch if len(ids) <= left else data.gather(split, ids[:left].numpy())


class PartSums:
    """Sums by dialogue and part of the reply: what means, and their intervals over dialogues, are made of."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str, str], list[Floats]] = {}
        self._counts: dict[str, list[Floats]] = {}

    def add(self, arm: str, what: str, values: Tensor, parts: Tensor) -> None:
        """Add values float[batch, length] of an arm; parts: int64[batch, length] as in the batch."""
        for number, part in enumerate(PARTS):
            inside = parts == number
            total = torch.where(inside, values, 0.0).sum(dim=1).double().cpu().numpy()
            self._sums.setdefault((arm, what, part), []).append(total)

    def count(self, parts: Tensor) -> None:
        """Count the tokens of a batch by part; once a batch."""
        for number, part in enumerate(PARTS):
            self._counts.setdefault(part, []).append((parts == number).sum(dim=1).double().cpu().numpy())

    def of(self, arm: str, what: str, part: str) -> tuple[Floats, Floats]:
        """Return (sums, counts) by dialogue, float64[dialogues] each."""
        return np.concatenate(self._sums[arm, what, part]), np.concatenate(self._counts[part])

    def parts(self) -> list[str]:
        """Return the parts that occur."""
        return [part for part in PARTS if sum(float(c.sum()) for c in self._counts.get(part, ())) > 0]


def improvement(arms: Sequence[tuple[Floats, Floats]], seed: int) -> Metric | None:
    """Return the normalised improvement of the first arm from the second to the third, None where these score the same.

    arms: (sums, counts) by dialogue of the arm, of the small and of the large fine-tuned model, the same dialogues; what
    belongs to one dialogue is resampled together.
    """

    def score(dialogues: Floats) -> float:
        totals = [float(column.sum()) for column in dialogues.T]
        return normalised_improvement(*(totals[i] / totals[i + 1] for i in (0, 2, 4)))

    columns = np.stack([column for arm in arms for column in arm], axis=1)
    metric = bootstrap_metric(score, columns, "higher", seed=seed)
    return metric if math.isfinite(metric.value) else None


def measure_arms(sums: PartSums, arms: Mapping[str, Tensor], tuned: Tensor | None, batch: Batch) -> None:
    """Add loss, top-1 accuracy and, with the large fine-tuned model, KL(large fine-tuned, arm) of a batch."""
    labels, parts = batch["labels"], batch["part_ids"]
    sums.count(parts)
    reference = None if tuned is None else torch.log_softmax(tuned, dim=-1)
    for name, z in arms.items():
        labels_there = labels.to(z.device)
        sums.add(name, "nll", -token_log_probs(z, labels_there).cpu(), parts)
        sums.add(name, "accuracy", (z.argmax(dim=-1) == labels_there).float().cpu(), parts)
        if reference is not None:
            log_p = torch.log_softmax(z, dim=-1).to(reference.device)
            kl = (reference.exp() * torch.where(reference.exp() > 0, reference - log_p, 0.0)).sum(dim=-1)
            sums.add(name, "kl", kl.cpu(), parts)
