"""Rows of dialogues encoded once into flat memory-mapped arrays.

`tokens.bin` holds the rows one behind the other, `parts.bin` what each token predicts: the part of the token behind it, -1
where that is in no reply or another row. `offsets.bin` has the starts of the rows and, last, the length of the whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnitrain_language.dialogues.rows import Row

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class StoredRows:
    """The rows of one split, mapped from a folder that `write_rows` made."""

    folder: Path

    @classmethod
    def of_arrays(cls, tokens: NDArray[Any], parts: NDArray[np.int8], offsets: Ints) -> StoredRows:
        """Return rows that are in memory, by no folder."""
        found = cls(Path())
        vars(found).update(tokens=tokens, parts=parts, offsets=offsets)
        return found

    @cached_property
    def details(self) -> Mapping[str, Any]:
        """What stands in details.json: dtype, and how many tokens are in the loss."""
        found: Mapping[str, Any] = json.loads((self.folder / "details.json").read_text("utf-8"))
        return found

    @cached_property
    def tokens(self) -> NDArray[Any]:
        """All ids, uint16 or uint32[total]."""
        return np.memmap(self.folder / "tokens.bin", dtype=self.details["dtype"], mode="r")

    @cached_property
    def parts(self) -> NDArray[np.int8]:
        """The part that each token predicts, int8[total]."""
        return np.memmap(self.folder / "parts.bin", dtype=np.int8, mode="r")

    @cached_property
    def offsets(self) -> Ints:
        """Starts of the rows, int64[rows + 1]; the last entry is the total."""
        return np.fromfile(self.folder / "offsets.bin", dtype="<i8")

    @cached_property
    def lengths(self) -> Ints:
        """Tokens of each row, int64[rows]."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1


def write_rows(rows: Iterable[Row], vocabulary: int, folder: Path) -> int:
    """Write rows into `folder` and return their number; memory does not grow with it. vocabulary: number of ids."""
    dtype = "<u2" if vocabulary <= 2**16 else "<u4"
    total, count, weighed = 0, 0, 0
    with (
        (folder / "tokens.bin").open("wb") as tokens,
        (folder / "parts.bin").open("wb") as parts,
        (folder / "offsets.bin").open("wb") as offsets,
    ):
        offsets.write(np.asarray([0], "<i8").tobytes())
        for row in rows:
            predicted = np.asarray([*row.every_part[1:], -1], np.int8)
            tokens.write(np.asarray([*row.prompt, *row.reply], dtype).tobytes())
            parts.write(predicted.tobytes())
            total += len(row)
            count += 1
            weighed += int((predicted >= 0).sum())
            offsets.write(np.asarray([total], "<i8").tobytes())
    details = {"dtype": dtype, "in_loss": weighed}
    (folder / "details.json").write_text(json.dumps(details), "utf-8")
    return count
