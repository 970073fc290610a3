"""One space of states and one of actions for all simulators: a domain is a row of a table, whose slots say what goes where."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnitrain.errors import DataError, UsageError

STATES, ACTIONS = 204, 6
TABLE = Path(__file__).parent / "domains.json"


@dataclass(frozen=True)
class Domain:
    """Tasks of one simulator.

    reward_scale: rewards and returns are divided by it. horizon: steps of an episode. slots: (first place, width) of each
    named observation in a state. target_returns: undivided, by task. scores: (random return, mean return of the data) by task.
    """

    name: str
    reward_scale: float
    horizon: int
    slots: Mapping[str, tuple[int, int]]
    target_returns: Mapping[str, float] = field(default_factory=dict)
    scores: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def state(self, named: Mapping[str, Any], width: int = STATES) -> NDArray[np.float32]:
        """Return the state float32[width] of named observations; a missing one is 0, a shorter one begins at its place.

        Raises DataError for a name without a slot, and for what is wider than its slot.
        """
        found = np.zeros(width, np.float32)
        for name, values in named.items():
            flat = np.asarray(values, np.float32).reshape(-1)
            if name not in self.slots:
                raise DataError(
                    f"The domain {self.name} has no slot for the observation {name!r}; it has {', '.join(self.slots)}: add "
                    f"slots: {{{name}: [first place, width]}} to the domain."
                )
            first, room = self.slots[name]
            if len(flat) > room:
                raise DataError(
                    f"The observation {name!r} has {len(flat)} numbers, its slot in {self.name} has {room}: widen the slot."
                )
            found[first : first + len(flat)] = flat
        return found

    def places(self, width: int, states: int, what: str) -> slice:
        """Return where vectors of a width go: whole states are as they are, others into the domain's only slot.

        Raises DataError where they fit in no such way. what: has them, for the message.
        """
        if width == states:
            return slice(0, states)
        if len(self.slots) == 1:
            first, room = next(iter(self.slots.values()))
            if width <= room and first + width <= states:
                return slice(first, first + width)
            raise DataError(
                f"{what} has observations of {width} numbers, the slot of {self.name} has {room}: give another domain, "
                "or widen its slot."
            )
        raise DataError(
            f"{what} has observations of {width} numbers; {self.name} has {len(self.slots)} slots, so expected whole "
            f"states of {states}: bring them there (omnitrain_l2m.spaces.domains.Domain.state)."
        )

    def known(self, table: str, task: str) -> Any:
        """Return the row of a task in `target_returns` or `scores`. Simulators of today call Meta-World's tasks NAME-v3.

        Raises UsageError for an unknown task.
        """
        rows: Mapping[str, Any] = getattr(self, table)
        plain = task if task in rows else task.removesuffix("-v2").removesuffix("-v3")
        if plain not in rows:
            near = ", ".join(sorted(rows)[:6]) or "none"
            raise UsageError(f"The domain {self.name} knows no task {task!r} in its {table}; it has {near}, ...")
        return rows[plain]


def domain_of(name: str, row: Mapping[str, Any]) -> Domain:
    """Return a domain of a row of the table."""
    slots = {slot: (int(place[0]), int(place[1])) for slot, place in row["slots"].items()}
    scores = {task: (float(pair[0]), float(pair[1])) for task, pair in row.get("scores", {}).items()}
    return Domain(name, float(row["reward_scale"]), int(row["horizon"]), slots, row.get("target_returns", {}), scores)


@cache
def builtin_domains() -> Mapping[str, Domain]:
    """Return the domains of the table in this package."""
    return {name: domain_of(name, row) for name, row in json.loads(TABLE.read_text("utf-8")).items()}


def padded(values: NDArray[Any], width: int, places: slice | None = None) -> NDArray[Any]:
    """Return vectors [..., n] as [..., width], zeros around `places`, by default on the right."""
    out = np.zeros((*values.shape[:-1], width), values.dtype)
    out[..., places or slice(0, values.shape[-1])] = values
    return out
