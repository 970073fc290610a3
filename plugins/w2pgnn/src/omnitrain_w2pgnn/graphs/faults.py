"""What a reader finds wrong, and what it takes where a file could mean something else."""

from __future__ import annotations

from omnitrain.errors import DataError


class Faults:
    """Counts malformed records; the first is named. policy: "refuse" raises at once, "skip" leaves the record out.

    notes: what was taken of the file that is not plain from it, one sentence each.
    """

    def __init__(self, policy: str) -> None:
        self.policy, self.count, self.first = policy, 0, ""
        self.notes: list[str] = []

    def found(self, message: str) -> None:
        """Note a malformed record. Raises DataError under "refuse"."""
        if self.policy == "refuse":
            raise DataError(f"{message} Correct it, or set malformed: skip.")
        self.count += 1
        self.first = self.first or message

    def say(self, note: str) -> None:
        """Note what was taken, once."""
        if note not in self.notes:
            self.notes.append(note)
