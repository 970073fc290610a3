"""Groups by name in batches: which member a row is of, and the members' own groups under one list of names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from omnitrain.api.data import Batch
from omnitrain.mixture.agreement import GROUPS, told
from omnitrain.mixture.members import Member


@dataclass(frozen=True)
class Groups:
    """Names of each field of groups over all members.

    shifts: by field and member, (how many groups the member names, what is added to its numbers); a field that all members
    name alike has none.
    """

    names: Mapping[str, list[str]] = field(default_factory=dict)
    shifts: Mapping[str, Mapping[int, tuple[int, int]]] = field(default_factory=dict)

    def shifted(self, batch: Batch, member: int) -> Batch:
        """Return a member's batch with the numbers of its groups among those of all; others than its own become -1."""
        return self._moved(batch, member, 0, 1)

    def own(self, batch: Batch, member: int) -> Batch:
        """Return a batch as `shifted` found it."""
        return self._moved(batch, member, 1, -1)

    def _moved(self, batch: Batch, member: int, from_shift: int, sign: int) -> Batch:
        moved = {}
        for name, by_member in self.shifts.items():
            if name in batch and member in by_member:
                count, shift = by_member[member]
                moved[name] = _moved(batch[name], from_shift * shift, count, sign * shift)
        return {**batch, **moved}


def _moved(ids: Any, first: int, count: int, shift: int) -> Any:
    inside = (ids >= first) & (ids < first + count)
    if isinstance(ids, Tensor):
        return torch.where(inside, ids + shift, torch.full_like(ids, -1))
    return np.where(inside, ids + shift, -1).astype(ids.dtype)


def merged_groups(members: Sequence[Member], group: str) -> Groups:
    """Return the groups of all members: the field of the members themselves, and their own fields of groups.

    Where members name the groups of a field differently, each group is called "member/group".
    """
    found: dict[str, dict[int, list[str]]] = {}
    for member in members:
        for name, names in told(member).get(GROUPS, {}).items():
            found.setdefault(name, {})[member.number] = list(names)
    merged: dict[str, list[str]] = {group: [member.name for member in members]}
    shifts: dict[str, dict[int, tuple[int, int]]] = {}
    for name, by_member in found.items():
        first = next(iter(by_member.values()))
        if all(names == first for names in by_member.values()):
            merged[name] = first
            continue
        merged[name], shifts[name] = [], {}
        for number, names in by_member.items():
            shifts[name][number] = (len(names), len(merged[name]))
            merged[name] += [f"{members[number].name}/{one}" for one in names]
    return Groups(merged, shifts)
