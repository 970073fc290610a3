"""Measure claims on finished runs and judge them; results as plain values that are stored and shown."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from omnitrain.api.descriptors import Claim
from omnitrain.api.measures import mean_interval
from omnitrain.api.references import load_reference
from omnitrain.errors import OmnitrainError, PluginError, UsageError
from omnitrain.evidence.statistics import Summary, summarise
from omnitrain.runs.files import write_whole

SHOWN = "shown"
NOT_SHOWN = "not shown"


@dataclass(frozen=True)
class ClaimResult:
    """A claim and what was measured for it. values: every number of the claim's measure. difference: metric - baseline,
    paired by seed, with its 95 % interval. seconds: time of the runs that it rests on. machine: where it was measured.
    """

    claim: Claim
    seeds: tuple[int, ...]
    values: Mapping[str, Summary]
    difference: Summary
    interval: tuple[float, float] | None
    holds: bool
    status: str
    seconds: float
    machine: str

    def json(self) -> dict[str, Any]:
        """Return plain values."""
        claim = self.claim
        return {
            "id": claim.id,
            "statement": claim.statement,
            "paper": {name: asdict(number) for name, number in claim.paper.items()},
            "metric": claim.metric,
            "measured": asdict(self.values[claim.metric]),
            "baseline": {"name": claim.baseline, **asdict(self.values[claim.baseline])},
            "difference": {**asdict(self.difference), "interval": self.interval},
            "values": {name: asdict(found) for name, found in self.values.items()},
            "direction": claim.direction,
            "margin": claim.margin,
            "holds": self.holds,
            "status": self.status,
            "seeds": len(self.seeds),
            "seed_numbers": list(self.seeds),
            "seconds": round(self.seconds, 1),
            "variants": {v.name: {"recipe": v.recipe, "overrides": list(v.overrides)} for v in claim.variants},
            "note": claim.note,
            "machine": self.machine,
        }


def measure_seed(claim: Claim, folders: Mapping[str, Path], seed: int) -> dict[str, float]:
    """Call a claim's measure on the runs of one seed.

    Raises PluginError when it fails or gives something else than numbers by name, the claim's two among them.
    """
    where = f"The measure {claim.measure!r} of claim {claim.id!r}"
    try:
        found = load_reference(claim.measure)(dict(folders))
    except OmnitrainError:
        raise
    except Exception as error:
        raise PluginError(f"{where} failed for seed {seed}: {type(error).__name__}: {error}.") from error
    if not isinstance(found, Mapping) or not all(_is_number(v) for v in found.values()):
        raise PluginError(f"{where} gave {found!r}; expected numbers by name.")
    missing = [name for name in (claim.metric, claim.baseline) if name not in found]
    if missing:
        raise PluginError(f"{where} gave {', '.join(found) or 'nothing'}; the claim needs {' and '.join(missing)} as well.")
    return {str(name): float(value) for name, value in found.items()}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def judge_claim(
    claim: Claim, seeds: Sequence[int], measured: Sequence[Mapping[str, float]], seconds: float, machine: str
) -> ClaimResult:
    """Say whether a claim shows in what was measured, one mapping per seed."""
    names = [name for name in measured[0] if all(name in row for row in measured)]
    values = {name: summarise([row[name] for row in measured]) for name in names}
    differences = [row[claim.metric] - row[claim.baseline] for row in measured]
    holds, status = judge(differences, claim.direction, claim.margin)
    difference, interval = summarise(differences), mean_interval(differences)
    return ClaimResult(claim, tuple(seeds), values, difference, interval, holds, status, seconds, machine)


def judge(differences: Sequence[float], direction: str, margin: float) -> tuple[bool, str]:
    """Return (holds, status) of paired differences metric - baseline.

    A claim is shown when the mean difference has its direction and at least its margin, and the 95 % interval of that mean
    lies on the claimed side of zero. One seed shows nothing, since it has no interval.
    """
    gains = [d if direction == "higher" else -d for d in differences]
    mean, interval = summarise(gains).mean, mean_interval(gains)
    if not math.isfinite(mean):
        return False, f"{NOT_SHOWN} (a measured number is not finite)"
    if mean <= 0:
        return False, NOT_SHOWN
    if interval is None:
        return False, f"{NOT_SHOWN} (direction holds; one seed has no interval)"
    if interval[0] <= 0:
        return False, f"{NOT_SHOWN} (direction holds in {sum(g > 0 for g in gains)} of {len(gains)} seeds)"
    if mean < margin:
        return False, f"{NOT_SHOWN} (the difference is below the claimed {margin:g})"
    return True, SHOWN


def read_stored(path: Path, key: str) -> dict[str, Any]:
    """Return a stored results file. key: the name of its list, "claims" or "benches".

    Raises UsageError when it is missing or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"{path} is missing; measure first, with --save {path}.") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} can't be read: {error}.") from error
    rows = content.get(key) if isinstance(content, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"{path} is no results file: it holds no list {key!r}.")
    return dict(content)


def store(path: Path, content: Mapping[str, Any], key: str, label: str, order: Sequence[str]) -> dict[str, Any]:
    """Write results, keeping what an earlier file holds of others, and return what was written.

    key: the name of the list. label: the field that names an entry. order: all names that there are; others are dropped.
    Raises EnvironmentFault when the file can't be written, UsageError when the earlier one is damaged.
    """
    rows = {row.get(label): row for row in read_stored(path, key)[key]} if path.exists() else {}
    rows |= {row[label]: row for row in content[key]}
    merged = {**content, key: [rows[name] for name in order if name in rows]}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(merged, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return merged
