"""The examples of all members behind each other, for what asks data for examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from omnitrain.mixture.members import Member

Example = tuple[int, Any]
"""The number of a member and an example of it."""


class Union(Sequence[Example]):
    """The examples of members behind each other."""

    def __init__(self, members: Sequence[Member], split: str) -> None:
        self._members = members
        self._examples = [member.data.examples(split) for member in members]

    def __len__(self) -> int:
        return sum(map(len, self._examples))

    def place(self, index: int) -> tuple[Member, int]:
        """Return the member and the row of an example."""
        for member, examples in zip(self._members, self._examples, strict=True):
            if index < len(examples):
                return member, index
            index -= len(examples)
        raise IndexError(index)

    def __getitem__(self, index: int) -> Example:  # type: ignore[override]  # no slices
        member, row = self.place(index)
        return member.number, self._examples[self._members.index(member)][row]


def chained(members: Sequence[Member], split: str) -> Iterator[Example]:
    """Yield the examples of members, one member after the other."""
    for member in members:
        for example in member.data.examples(split):
            yield member.number, example
