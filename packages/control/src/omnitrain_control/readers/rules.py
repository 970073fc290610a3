"""How trajectories are read: which array is what, where episodes end, and what makes one a broken one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from omnitrain.errors import DataError

Raw = Mapping[str, Any]
"""Arrays by name, in memory or mapped; names of inner groups are joined by "/"."""
Episode = dict[str, NDArray[Any]]


@dataclass
class Found:
    """One trajectory of a source. place: where it is, for messages. label: plain JSON of it. faults: (kind, detail)."""

    place: str
    episode: Episode
    label: dict[str, Any] = field(default_factory=dict)
    faults: list[tuple[str, str]] = field(default_factory=list)


NAMES: Mapping[str, tuple[str, ...]] = {
    "observations": ("observations", "states", "obs", "observation", "state"),
    "actions": ("actions", "action"),
    "rewards": ("rewards", "reward"),
    "next_observations": ("next_observations", "next_states", "next_obs", "next_observation", "next_state"),
    "terminals": ("terminals", "terminations", "terminated", "terminal"),
    "timeouts": ("timeouts", "truncations", "truncated", "timeout"),
    "dones": ("dones", "done"),
    "episodes": ("trj_id", "episode_ids", "episode_id"),
    "success": ("success", "successes", "is_success"),
}
"""What an array is, by the names that it has in common files."""
MARKS = ("terminals", "timeouts", "dones", "episodes")


@dataclass(frozen=True)
class ReadingRules:
    """See `TrajectoriesConfig`, whose settings these are."""

    layout: Literal["auto", "flat", "episodes"] = "auto"
    fields: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    horizon: int | None = None
    dones: Literal["terminal", "timeout"] | None = None
    min_steps: int = 1
    action_range: tuple[float, float] | None = None
    broken: Literal["refuse", "skip"] = "refuse"


def named(raw: Raw, rules: ReadingRules, where: str) -> dict[str, Any]:
    """Return the arrays that are known, or asked for by `fields`, under the names that omnitrain gives them.

    Raises DataError for one that is missing, and where several arrays could be meant.
    """
    found: dict[str, Any] = {}
    for name, sources in rules.fields.items():
        wanted = [sources] if isinstance(sources, str) else list(sources)
        lacking = [source for source in wanted if source not in raw]
        if lacking:
            raise DataError(f"{where} has no array {lacking[0]!r}, which fields names for {name}; it has {_listed(raw)}.")
        found[name] = raw[wanted[0]] if len(wanted) == 1 else _joined([raw[source] for source in wanted])
    for name, known in NAMES.items():
        if name in found:
            continue
        present = [alias for alias in known if alias in raw]
        if name in raw:
            present = [name]
        if len(present) > 1:
            choice = f"fields: {{{name}: {present[0]}}}"
            raise DataError(f"{where} has {' and '.join(present)}: say which are the {name}, as {choice}.")
        inner = [inside for alias in known for inside in raw if inside.startswith(f"{alias}/")]
        if not present and inner and name in ("observations", "actions"):
            raise DataError(
                f"{where} has {name} of several arrays: say which are joined to one vector, as fields: {{{name}: "
                f"[{', '.join(inner)}]}}."
            )
        if present:
            found[name] = raw[present[0]]
    for name in ("observations", "actions"):
        if name not in found:
            raise DataError(f"{where} has no {name}; it has {_listed(raw)}: name them, as fields: {{{name}: ...}}.")
    return found


def _listed(raw: Raw) -> str:
    names = sorted(raw)
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "") or "nothing"


def _joined(arrays: Sequence[Any]) -> NDArray[Any]:
    """Return vectors one beside the other; a number a step is a vector of one."""
    return np.concatenate([np.asarray(a).reshape(len(a), -1) for a in arrays], 1)


def stored(values: Any, where: str) -> NDArray[Any]:
    """Return values in the type that they are kept in: float32, int64, bool, and bytes of pictures as they are.

    where: file and array, for messages. Raises DataError for what is no real number.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise DataError(
            f"{where} holds values of the type {array.dtype}; expected real numbers: convert them, or name others by fields."
        )
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    return array if array.dtype in (np.uint8, np.bool_) else array.astype(np.int64)


def flags(values: Any, where: str) -> NDArray[np.bool_]:
    """Return marks as booleans. where: file and array, for messages. Raises DataError for marks other than 0 and 1."""
    array = np.asarray(values)
    unclear = np.flatnonzero(((array != 0) & (array != 1)).ravel())
    if len(unclear):
        found = array.ravel()[unclear[0]]
        raise DataError(f"{where} holds {found:g}; expected marks of 0 and 1: convert them, or name other ones by fields.")
    return array.astype(bool)


def faults(episode: Episode, rules: ReadingRules) -> list[tuple[str, str]]:
    """Return (kind, detail) of everything that makes an episode a broken one."""
    steps = len(episode["actions"])
    found = []
    rows = {name: len(values) for name, values in episode.items()}
    allowed = {name: (steps, steps + 1) if name == "observations" else (steps,) for name in rows}
    if any(rows[name] not in allowed[name] for name in rows):
        found.append(("trajectories whose arrays have different lengths", ", ".join(f"{n} {c}" for n, c in rows.items())))
        return found
    for name, values in episode.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            step = int(np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(1))[0])
            found.append(("trajectories with numbers that are not finite", f"{name} of step {step}"))
            break
    if rules.action_range is not None and steps and episode["actions"].dtype.kind == "f":
        low, high = rules.action_range
        actions = episode["actions"].reshape(steps, -1)
        room = 1e-5 * (high - low)
        outside = np.flatnonzero(((actions < low - room) | (actions > high + room)).any(1))
        if len(outside):
            step = int(outside[0])
            found.append((f"trajectories with actions outside [{low:g}, {high:g}]", f"step {step}: {actions[step].tolist()}"))
    marked = episode.get("terminals")
    if marked is not None and marked[:-1].any():
        found.append(("trajectories that go on behind a terminal step", f"step {int(np.flatnonzero(marked)[0])}"))
    return found
