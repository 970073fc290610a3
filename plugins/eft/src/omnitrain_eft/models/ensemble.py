"""The models of a composition, their prompts, and the small ones run side by side, stacked where they can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from omnitrain.errors import UsageError
from omnitrain_eft.models.caches import CachedModel
from omnitrain_eft.models.stacking import can_stack, stack
from omnitrain_eft.paper.composition import Dials, combine
from omnitrain_language.switching import adapters_off

Ids = Sequence[Sequence[int]]


class WithoutAdapters(nn.Module):
    """A model with LoRA adapters as it was before them: the small base on the expert's own weights."""

    def __init__(self, adapted: Any) -> None:
        super().__init__()
        self.adapted = adapted
        self.config = adapted.config

    def forward(self, **inputs: Any) -> Any:
        """Run the model with its adapters switched off."""
        with adapters_off(self.adapted):
            return self.adapted(**inputs)


class MixedAdapters(nn.Module):
    """A model with adapters on the first half of the rows and without on the second: expert and base in one pass."""

    stacked_groups = 2

    def __init__(self, adapted: Any) -> None:
        super().__init__()
        self.adapted = adapted
        self.config = adapted.config

    def forward(self, **inputs: Any) -> Any:
        """Run all rows; peft adds the adapter's update to those that name it."""
        half = len(inputs["input_ids"]) // 2
        names = [self.adapted.active_adapter] * half + ["__base__"] * half
        return self.adapted(**inputs, adapter_names=names)


@dataclass(frozen=True)
class Prompts:
    """Prompt ids of each model, one row per text; all models continue with the same new tokens.

    small: one entry for every small model of the ensemble, in its order.
    """

    large: Ids
    small: Sequence[Ids]

    def __post_init__(self) -> None:
        if any(len(rows) != len(self.large) for rows in self.small):
            raise UsageError("every model needs a prompt for each text: their numbers of rows differ")

    @classmethod
    def shared(cls, ids: Ids, members: int) -> Prompts:
        """Give all models the same prompts."""
        return cls(ids, [ids] * members)


@dataclass
class Ensemble:
    """A large base, fine-tuned small experts, and the small models that they are compared with.

    small: the different small models. experts, bases: for each expert its place and that of its base in `small`.
    shared_base: place of the base that the up-scaling delta refers to. pad: id for padding and for finished rows.
    vocabulary: ids that the composition gives; rows beyond are cut.
    """

    large: Any
    small: list[Any]
    experts: list[int]
    bases: list[int]
    shared_base: int
    pad: int
    vocabulary: int
    small_names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.experts or len(self.experts) != len(self.bases):
            raise UsageError("an expert stands without its base: each fine-tuned small model needs the base it was tuned from")
        if not self.small_names:
            names = {place: f"expert {number}" for number, place in enumerate(self.experts)}
            self.small_names = [names.get(place, f"small base {place}") for place in range(len(self.small))]

    def combined(self, large: Tensor, small: Sequence[Tensor], dials: Dials) -> Tensor:
        """Return z of the logits [..., vocabulary] of all models."""
        if len(dials.weights) != len(self.experts):
            raise UsageError(f"weights: {len(dials.weights)} numbers for {len(self.experts)} experts; give one for each")
        return combine(
            large[..., : self.vocabulary],
            [small[i] for i in self.experts],
            [small[i] for i in self.bases],
            dials,
            small[self.shared_base],
        )

    def draft(self, dials: Dials, chosen: int | None = None) -> int:
        """Return the place in `small` of the expert that drafts: the chosen one, else that of the largest weight."""
        if chosen is not None and not 0 <= chosen < len(self.experts):
            raise UsageError(f"draft {chosen}: there are {len(self.experts)} experts, numbered from 0")
        number = max(range(len(self.experts)), key=lambda i: dials.weights[i]) if chosen is None else chosen
        return self.experts[number]


@dataclass
class _Lane:
    """One model with its cache that stands for several small models: rows of member after member."""

    model: CachedModel
    members: list[int]


class SmallModels:
    """Some small models of an ensemble, each with its cache; those of one architecture share their passes."""

    def __init__(self, ensemble: Ensemble, members: Sequence[int], stacked: bool = True) -> None:
        self.members = list(members)
        self.lanes = [
            _Lane(CachedModel(model, ensemble.pad, " and ".join(ensemble.small_names[i] for i in group)), group)
            for model, group in _lanes(ensemble, self.members, stacked)
        ]

    def start(self, prompts: Prompts, positions: int = 1) -> dict[int, Tensor]:
        """Read the prompts; return logits [batch, positions, vocabulary] of each member."""
        found: dict[int, Tensor] = {}
        for lane in self.lanes:
            rows = [row for member in lane.members for row in prompts.small[member]]
            found |= _parted(lane, lane.model.start(rows, positions))
        return found

    def extend(self, tokens: Tensor) -> dict[int, Tensor]:
        """Append tokens int64[batch, new]; return logits [batch, new, vocabulary] of each member."""
        found: dict[int, Tensor] = {}
        for lane in self.lanes:
            rows = tokens if len(lane.members) == 1 else tokens.repeat(len(lane.members), 1)
            found |= _parted(lane, lane.model.extend(rows))
        return found

    def keep(self, counts: Tensor, columns: int) -> None:
        """Take back what was appended last, but for the first counts[row] tokens, int64[batch]."""
        for lane in self.lanes:
            lane.model.keep(counts if len(lane.members) == 1 else counts.repeat(len(lane.members)), columns)

    def reorder(self, index: Tensor, batch: int) -> None:
        """Let row i go on from what was row index[i] of `batch` rows."""
        for lane in self.lanes:
            offset = torch.arange(len(lane.members), device=index.device)[:, None] * batch
            lane.model.reorder((offset + index).flatten())


def _parted(lane: _Lane, logits: Tensor) -> dict[int, Tensor]:
    return dict(zip(lane.members, logits.chunk(len(lane.members)), strict=True))


def _lanes(ensemble: Ensemble, members: list[int], stacked: bool) -> list[tuple[Any, list[int]]]:
    """Return (model, members) of each lane: an adapter with its base, models of one architecture, single ones."""
    left = list(members)
    found: list[tuple[Any, list[int]]] = []
    for base in members if stacked else ():
        model = ensemble.small[base]
        if not isinstance(model, WithoutAdapters) or base not in left:
            continue
        expert = next((i for i in left if ensemble.small[i] is model.adapted), None)
        if expert is not None:
            found.append((MixedAdapters(model.adapted), [expert, base]))
            left = [i for i in left if i not in (expert, base)]
    while left:
        group = [i for i in left if i == left[0] or can_stack([ensemble.small[left[0]], ensemble.small[i]])] if stacked else []
        if len(group) > 1:
            found.append((_stack_of(ensemble, group), group))
        else:
            group = left[:1]
            found.append((ensemble.small[left[0]], group))
        left = [i for i in left if i not in group]
    return found


def _stack_of(ensemble: Ensemble, group: list[int]) -> Any:
    """Return the stack of some members, made once."""
    made: dict[tuple[int, ...], Any] = ensemble.__dict__.setdefault("_stacks", {})
    models = [ensemble.small[i] for i in group]
    key = tuple(group)
    whole = made.get(key)
    if whole is None or not _is_stack_of(whole, models):
        whole = made[key] = stack(models)
    return whole


def _is_stack_of(whole: Any, models: Sequence[Any]) -> bool:
    """Whether the models' weights are still views of the stack: moving or loading a model makes new ones."""
    ours = next(whole.parameters())
    theirs = [next(model.parameters()) for model in models]
    return all(p.data_ptr() == ours[number].data_ptr() and p.dtype == ours.dtype for number, p in enumerate(theirs))
