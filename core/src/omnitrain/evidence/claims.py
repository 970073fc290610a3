"""Measure claims on finished runs and write them, judged, as plain values that are stored and shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from omnitrain.api.claims import Claim, Contrast
from omnitrain.api.finished import FinishedRun
from omnitrain.api.references import load_reference
from omnitrain.errors import OmnitrainError, PluginError
from omnitrain.evidence import judging
from omnitrain.evidence.judging import Compared
from omnitrain.evidence.looks import is_declared, level_of, seed_sets
from omnitrain.evidence.statistics import summarise


def measure_seed(claim: Claim, folders: Mapping[str, Path], seed: int) -> dict[str, float]:
    """Call a claim's measure on the runs of one seed.

    Raises PluginError when it fails or gives something else than numbers by name, those of the claim's contrasts among them.
    """
    where = f"The measure {claim.measure!r} of claim {claim.id!r}"
    try:
        found = load_reference(claim.measure)({name: FinishedRun(folder) for name, folder in folders.items()})
    except OmnitrainError:
        raise
    except Exception as error:
        raise PluginError(f"{where} failed for seed {seed}: {type(error).__name__}: {error}.") from error
    if not isinstance(found, Mapping) or not all(_is_number(v) for v in found.values()):
        raise PluginError(f"{where} gave {found!r}; expected numbers by name.")
    missing = [name for name in needed_names(claim) if name not in found]
    if missing:
        raise PluginError(f"{where} gave {', '.join(found) or 'nothing'}; the claim needs {' and '.join(missing)} as well.")
    return {str(name): float(value) for name, value in found.items()}


def needed_names(claim: Claim) -> list[str]:
    """Return the numbers that a claim's measure has to give, each once: those of its contrasts."""
    return list(dict.fromkeys(name for c in claim.contrasts for name in (c.metric, c.opponent)))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def claim_row(
    claim: Claim,
    seeds: Sequence[int],
    rows: Sequence[Mapping[str, float]],
    looks: Sequence[Mapping[str, Any]],
    origin: Mapping[str, Any],
    fingerprints: Mapping[str, str],
    seconds: float,
) -> dict[str, Any]:
    """Judge a claim on what was measured, one mapping per seed, and return it as plain values; see docs/evidence.md.

    looks: all that were made, the last one at these seeds. origin: see `origin_of`. fingerprints: of the variants' recipes.
    The family's share of the verdict is added by `with_family`.
    """
    sets = seed_sets(looks, looks[-1])
    level = level_of(sets, claim.looks)
    judged = judging.judge(claim, rows, level)
    names = [name for name in rows[0] if all(name in row for row in rows)]
    first = claim.contrasts[0]
    return {
        "id": claim.id,
        "statement": claim.statement,
        "paper": {name: asdict(number) for name, number in claim.paper.items()},
        "measured": asdict(summarise([row[first.metric] for row in rows])),
        "direction": first.direction,
        "check": claim.check,
        "contrasts": [_contrast(found) for found in judged.compared],
        "nothing": [
            _nothing(contrast, found)
            for contrast, found in zip(judging.against_nothing(claim), judged.nothing.values(), strict=True)
        ],
        "level": level,
        "p": judged.p,
        "verdict": judged.verdict,
        "beyond": not claim.check and not (looks[-1]["declared"] and is_declared(sets, claim.looks)),
        "values": {name: asdict(summarise([row[name] for row in rows])) for name in names},
        "seeds": len(seeds),
        "seed_numbers": list(seeds),
        "looks": [dict(entry) for entry in looks],
        "declared": asdict(claim.looks),
        "pilot": claim.pilot,
        "seconds": round(seconds, 1),
        "variants": {
            v.name: {"recipe": v.recipe, "overrides": list(v.overrides), "fingerprint": fingerprints[v.name]}
            for v in claim.variants
        },
        **origin,
        "note": claim.note,
    }


def _contrast(found: Compared) -> dict[str, Any]:
    return {
        **asdict(found.contrast),
        "gain": {**asdict(found.gains), "interval": found.interval},
        "p": found.p,
        "verdict": found.verdict,
        "reason": found.reason,
        "detectable": found.detectable,
        "seeds_needed": found.needed,
    }


def _nothing(contrast: Contrast, found: Compared | None) -> dict[str, Any]:
    if found is None:
        return {"name": contrast.opponent, "metric": contrast.metric, "verdict": judging.UNMEASURED}
    return {"name": contrast.opponent, **_contrast(found)}


def with_family(rows: Sequence[Mapping[str, Any]], claims: Sequence[Claim]) -> list[dict[str, Any]]:
    """Add to measured claims what depends on the plugin's other claims: adjusted p, status, whether it holds.

    claims: all of the plugin; those that are not among the rows count with p = 1.
    """
    family = sum(not claim.check for claim in claims)
    adjusted = judging.adjusted({row["id"]: row["p"] for row in rows}, family)
    return [_completed(row, adjusted[row["id"]], family) for row in rows]


def _completed(row: Mapping[str, Any], adjusted: float | None, family: int) -> dict[str, Any]:
    verdict = row["verdict"]
    shown = verdict == judging.SHOWN
    doubts = []
    if shown and (adjusted is None or adjusted >= row["level"]):
        doubts.append("unadjusted")
    if row["beyond"]:
        doubts.append("beyond the declaration")
    holds = verdict == judging.PASSED or (shown and not doubts)
    label = f"{verdict} ({', '.join(doubts)})" if doubts else verdict
    status = f"{label}{_against(row)}"
    return {**row, "adjusted_p": adjusted, "family": family, "holds": holds, "result": label, "status": status}


def _against(row: Mapping[str, Any]) -> str:
    """Say against what, where that is not the same for all; and how it ended against doing nothing."""
    metrics = {c["metric"] for c in row["contrasts"]}
    groups: dict[str, list[str]] = {}
    for found in row["contrasts"]:
        name = found["opponent"] if len(metrics) == 1 else f"{found['metric']} against {found['opponent']}"
        groups.setdefault(found["verdict"], []).append(name)
    parts = []
    if len(groups) > 1 or len(row["contrasts"]) > 1:
        joined = [f"{verdict}{_with(verdict, len(metrics) == 1)} {_listed(names)}" for verdict, names in groups.items()]
        parts.append(f": {'; '.join(joined)}" if len(groups) > 1 else f" against {_listed(next(iter(groups.values())))}")
        if len(groups) == 1 and len(metrics) > 1:
            parts[-1] = f": {_listed(next(iter(groups.values())))}"
    ahead = (judging.SHOWN, judging.PASSED)
    for words, chosen in (
        ("also against doing nothing", [n["name"] for n in row["nothing"] if n["verdict"] in ahead]),
        ("not against doing nothing", [n["name"] for n in row["nothing"] if n["verdict"] not in (*ahead, judging.UNMEASURED)]),
        ("against doing nothing not measured yet:", [n["name"] for n in row["nothing"] if n["verdict"] == judging.UNMEASURED]),
    ):
        if chosen:
            parts.append(f"; {words} {_listed(chosen) if words.endswith(':') else f'({_listed(chosen)})'}")
    return "".join(parts)


def _with(verdict: str, one_metric: bool) -> str:
    return (" to" if verdict == judging.EQUIVALENT else " against") if one_metric else ""


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def stored_rows(row: Mapping[str, Any]) -> list[dict[str, float]]:
    """Return the numbers of a stored claim, one mapping per seed, as its measure gave them."""
    names = list(row["values"])
    return [{n: float(row["values"][n]["per_seed"][i]) for n in names} for i in range(len(row["seed_numbers"]))]


def judged_again(claim: Claim, row: Mapping[str, Any]) -> dict[str, Any]:
    """Judge stored numbers by what the claim declares now. Raises PluginError where they lack a number that it names."""
    rows = stored_rows(row)
    missing = [name for name in needed_names(claim) if any(name not in found for found in rows)]
    if missing:
        raise PluginError(f"The stored values of claim {claim.id!r} lack {' and '.join(missing)}; measure it again.")
    unknown = {v.name: row["variants"].get(v.name, {}).get("fingerprint", "") for v in claim.variants}
    origin = {key: row[key] for key in ("versions", "commit", "date", "cpu", "machine")}
    return claim_row(claim, row["seed_numbers"], rows, row["looks"], origin, unknown, row["seconds"])
