"""Episodes out of arrays in memory or mapped: flat ones with marks of ends, buffers of several environments, single ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnitrain.errors import DataError
from omnitrain_control.problems import Problems
from omnitrain_control.readers.rules import MARKS, Found, Raw, ReadingRules, flags, named, stored

UNFINISHED = "flat files whose last trajectory has no end"
MISLED = "trajectories whose next observation is not the next row: an end is not marked"
OVERWRITTEN = "trajectories whose beginning was overwritten in a full buffer"


class TrajectoryProblems(Problems):
    """What was wrong with trajectories; those without an end are told and kept."""

    told = frozenset({UNFINISHED, OVERWRITTEN, "trajectories shorter than min_steps"})


def _terminals(arrays: dict[str, Any], rules: ReadingRules) -> NDArray[np.bool_] | None:
    """Return which steps are terminal, None where nobody tells."""
    given: dict[str, NDArray[np.bool_]] = {name: arrays[name] for name in MARKS[:3] if name in arrays}
    if "terminals" in given:
        return given["terminals"]
    if "dones" in given and "timeouts" in given:
        return np.asarray(given["dones"] & ~given["timeouts"])
    if "dones" in given and rules.dones is not None:
        return given["dones"] if rules.dones == "terminal" else np.zeros_like(given["dones"])
    return None


def _marks(arrays: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return what marks ends as one value a step, as booleans but for ids of episodes."""
    single = {name: values.reshape(-1) for name, values in arrays.items()}
    return {name: values if name == "episodes" else flags(values, f"{where}: {name}") for name, values in single.items()}


def _one_environment(arrays: dict[str, Any]) -> bool:
    rewards = arrays.get("rewards")
    return rewards is None or rewards.ndim == 1 or not (rewards.ndim == 2 and arrays["actions"].ndim == 3)


def flat_episodes(raw: Raw, rules: ReadingRules, where: str, problems: Problems) -> Iterator[Found]:
    """Yield the episodes of flat arrays, rows in time order (D4RL, the files of L2M), and of buffers [row, environment].

    An episode ends at a row marked by terminals, timeouts or dones, where the episode's id changes, and after `horizon` rows.
    Raises DataError for arrays of different lengths, and where nothing tells an end.
    """
    arrays = named(raw, rules, where)
    if not _one_environment(arrays):
        yield from _buffer_episodes(arrays, raw, rules, where, problems)
        return
    yield from _cut(arrays, np.arange(len(arrays["actions"])), None, rules, where, problems)


def _buffer_episodes(arrays: dict[str, Any], raw: Raw, rules: ReadingRules, where: str, problems: Problems) -> Iterator[Found]:
    """Yield the episodes of a ring buffer [row, environment, ...] as Stable-Baselines3 fills it, environment by environment."""
    if "pos" not in raw or "full" not in raw:
        raise DataError(
            f"{where} has arrays [row, environment, ...] of a buffer, but not its pos and full, which tell what is filled: "
            "save buffer.pos and buffer.full beside the arrays."
        )
    size, position, full = len(arrays["actions"]), int(np.asarray(raw["pos"])), bool(np.asarray(raw["full"]))
    rows = (position + np.arange(size)) % size if full else np.arange(position)
    for environment in range(arrays["actions"].shape[1]):
        found = _cut(arrays, rows, environment, rules, f"{where}[{environment}]", problems)
        for number, one in enumerate(found):
            if full and number == 0:
                problems.add(OVERWRITTEN, one.place)
                continue
            yield one


def _cut(
    arrays: dict[str, Any],
    rows: NDArray[np.int64],
    environment: int | None,
    rules: ReadingRules,
    where: str,
    problems: Problems,
) -> Iterator[Found]:
    sizes = {name: len(values) for name, values in arrays.items()}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise DataError(f"{where} has arrays of different lengths ({told}); expected one row of each for every step.")
    if not len(rows):
        return

    def part(name: str, begin: int, end: int) -> NDArray[Any]:
        chosen = rows[begin:end]
        together = len(chosen) and chosen[-1] - chosen[0] == len(chosen) - 1
        values = arrays[name][int(chosen[0]) : int(chosen[-1]) + 1] if together else np.asarray(arrays[name])[chosen]
        return stored(values if environment is None else np.asarray(values)[:, environment], f"{where}: {name}")

    marks = _marks({name: part(name, 0, len(rows)) for name in MARKS if name in arrays}, where)
    ends = np.zeros(len(rows), bool)
    for name, values in marks.items():
        ends |= np.append(values[1:] != values[:-1], False) if name == "episodes" else values
    if rules.horizon is not None:
        begins = np.maximum.accumulate(np.where(np.append(True, ends[:-1]), np.arange(len(rows)), 0))
        ends |= (np.arange(len(rows)) - begins) % rules.horizon == rules.horizon - 1
    elif not ends.any() and "episodes" not in marks:
        marked = f"its {' and '.join(marks)} mark none" if marks else "it has none of terminals, timeouts, dones and trj_id"
        raise DataError(
            f"{where} does not tell where a trajectory ends: {marked}; set horizon to the steps of each, or layout: episodes "
            "where a file is one trajectory."
        )
    if not ends[-1] and "episodes" not in marks:
        problems.add(UNFINISHED, where)
    ends[-1] = True
    terminals = _terminals(marks, rules)
    names = [name for name in arrays if name not in (*MARKS, "next_observations")]
    begin = 0
    for number, end in enumerate((np.flatnonzero(ends) + 1).tolist()):
        found = Found(f"{where}:{number}", {name: part(name, begin, end) for name in names})
        if terminals is not None:
            found.episode["terminals"] = terminals[begin:end]
        if "next_observations" in arrays:
            _follow(found, part("next_observations", begin, end))
        yield shaped(found)
        begin = end


def _follow(found: Found, following: NDArray[Any]) -> None:
    """Add what is observed after the last step; the other next observations are the next rows, or an end is not marked."""
    observed = found.episode["observations"]
    if following.shape[1:] != observed.shape[1:]:
        raise DataError(
            f"{found.place} has observations of the shape {list(observed.shape[1:])} a step and next_observations of "
            f"{list(following.shape[1:])}: name both of one kind, as fields: {{observations: ..., next_observations: ...}}."
        )
    near = np.isclose(following[:-1], observed[1:], rtol=1e-4, atol=1e-5, equal_nan=True)
    if near.all():
        found.episode["observations"] = np.concatenate([observed, following[-1:]])
    else:
        step = int(np.flatnonzero(~near.reshape(len(near), -1).all(1))[0])
        found.faults.append((MISLED, f"step {step}"))


def single_episode(raw: Raw, rules: ReadingRules, where: str) -> Found:
    """Return the episode that arrays [step, ...] are; observations may have one row more, single values are its label.

    Raises DataError for arrays that are not known.
    """
    given = {name: values for name, values in named(raw, rules, where).items() if np.ndim(values)}
    found = Found(where, {name: stored(values, f"{where}: {name}") for name, values in given.items()})
    found.label = plain_label({name: np.asarray(values)[()] for name, values in raw.items() if not np.ndim(values)})
    arrays = found.episode
    marks = _marks({name: arrays.pop(name) for name in MARKS if name in arrays}, where)
    terminals, following = _terminals(marks, rules), arrays.pop("next_observations", None)
    if terminals is not None:
        arrays["terminals"] = terminals
    if following is not None and len(following) == len(arrays["observations"]) == len(arrays["actions"]):
        _follow(found, following)
    return shaped(found)


def plain_label(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the single numbers and texts among values, as plain JSON."""
    single = {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}
    text = {name: value.decode("utf-8", "replace") if isinstance(value, bytes) else value for name, value in single.items()}
    return {name: value for name, value in text.items() if isinstance(value, (str, int, float, bool))}


def shaped(found: Found) -> Found:
    """Make actions vectors, and rewards and marks numbers a step."""
    episode = found.episode
    if episode["actions"].ndim == 1:
        episode["actions"] = episode["actions"][:, None]
    for name in ("rewards", "terminals", "success"):
        if name in episode and episode[name].ndim == 2 and episode[name].shape[1] == 1:
            episode[name] = episode[name][:, 0]
    if "rewards" in episode:
        episode["rewards"] = episode["rewards"].astype(np.float32)
    for name in ("terminals", "success"):
        if name in episode:
            episode[name] = episode[name].astype(bool)
    return found
