"""Data: where examples come from and how they become batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from omnitrain.api.fields import Fields

Batch = dict[str, Any]


@runtime_checkable
class Data(Protocol):
    """Where examples come from and how they become batches. Can be read twice with the same result.

    batch: the fields of a batch.
    """

    batch: Fields

    @property
    def fingerprint(self) -> str:
        """Digits of content and settings, 16 or more hexadecimal ones; an attribute or, where it is slow, a property.

        It is asked for when the data is built, before the slow work, and kept with the stage; a stage that is gone on with and
        finds another one is refused. So it must not depend on times, places of files or the process.
        """

    def splits(self) -> Sequence[str]:
        """Name the splits, "train" first where there is one."""

    def examples(self, split: str) -> Any:
        """Return a sequence (`__len__`, `__getitem__`) or an iterable of examples."""

    def collate(self, examples: Sequence[Any]) -> Batch:
        """Make a batch of examples."""
