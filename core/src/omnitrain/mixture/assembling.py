"""Batches of members as batches of the mixture: named, grouped, several as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from omnitrain.api.data import Batch
from omnitrain.api.fields import Fields, parse_field
from omnitrain.engine.joining import join
from omnitrain.engine.tally import MEMBER
from omnitrain.mixture.agreement import IDS
from omnitrain.mixture.groups import Groups


class Assembler:
    """Makes batches of the mixture.

    names: of the members. fields: that all carry. group: the field that says which member a row is of, or None for data
    without rows. facts: for padding.
    """

    def __init__(
        self, names: Sequence[str], fields: Fields, group: str | None, groups: Groups, facts: Mapping[str, Any]
    ) -> None:
        self._names, self._fields, self._group, self._groups, self._facts = names, fields, group, groups, facts
        axes = {name: (parse_field(spec).dims or ()) for name, spec in fields.items()}
        self._axes = {name: dims.index("batch") for name, dims in axes.items() if "batch" in dims}

    def single(self, batch: Batch, member: int) -> Batch:
        """Return a batch whose rows are all of one member: it carries its name, by which losses are told."""
        kept = {**self._kept(batch, member), MEMBER: self._names[member]}
        if self._group is not None:
            kept[self._group] = torch.full((self.rows(batch),), member)
        return kept

    def joined(self, batches: Sequence[tuple[int, Batch]]) -> Batch:
        """Return a batch with the rows of several members, each given with its number."""
        kept = [self._kept(batch, member) for member, batch in batches]
        found = join(kept, self._fields, self._facts)
        if self._group is not None:
            numbers = np.repeat([member for member, _ in batches], [self.rows(batch) for batch in kept])
            found[self._group] = torch.from_numpy(numbers)
        if IDS not in self._fields and all(IDS in batch for batch in kept):
            found[IDS] = np.concatenate([np.asarray(batch[IDS]) for batch in kept])
        return found

    def _kept(self, batch: Batch, member: int) -> Batch:
        kept = {name: batch[name] for name in self._fields if name in batch}
        if self._groups.shifts:
            kept = self._groups.shifted(kept, member)
        if IDS in batch:
            kept[IDS] = batch[IDS]
        return kept

    def rows(self, batch: Batch) -> int:
        """Return how many rows a batch has."""
        name, axis = next((name, axis) for name, axis in self._axes.items() if name in batch)
        return len(batch[name]) if axis == 0 else int(batch[name].shape[axis])
