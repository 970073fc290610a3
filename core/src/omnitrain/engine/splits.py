"""Whether data has the split that an evaluator asks for, for its ability `ChecksData`."""

from __future__ import annotations

from typing import Any

from omnitrain.errors import DataError, UsageError


def check_split(data: Any, split: str) -> None:
    """Refuse data without a split.

    Raises UsageError where there is no data, DataError that names the splits there are.
    """
    if data is None:
        raise UsageError("it measures on data; give the stage a setting data.")
    there = list(data.splits())
    if split not in there:
        names = ", ".join(map(repr, there))
        raise DataError(
            f"the data has no split {split!r}, only {names}; set the data's share of it (such as valid_fraction) above 0, or "
            "`split` of the evaluator."
        )
