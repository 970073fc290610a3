"""How often a claim was looked at, whether that was declared, and the level at which it is judged therefore."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from omnitrain.api.claims import LEVEL, PILOTS, TWO_LOOKS, Claim, Looks
from omnitrain.errors import UsageError


def look(seeds: Sequence[int], settings: str, looks: Looks, made: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a look at these seeds as it is stored. settings: fingerprint of all runs of the claim. made: earlier looks."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    entry = {"seeds": list(seeds), "date": today, "settings": settings, "declaration": described(looks)}
    return {**entry, "declared": is_declared(seed_sets([*made, entry], entry), looks)}


def seed_sets(made: Sequence[Mapping[str, Any]], last: Mapping[str, Any]) -> list[tuple[int, ...]]:
    """Return the different seed sets, in order, of looks at runs with the same settings, under the same declaration.

    Runs made anew are no other look, and what was declared anew begins anew; earlier looks stay in the list for all to see.
    """
    same = [entry for entry in made if all(entry[key] == last[key] for key in ("settings", "declaration"))]
    return list(dict.fromkeys(tuple(entry["seeds"]) for entry in same))


def is_declared(sets: Sequence[Sequence[int]], looks: Looks) -> bool:
    """Whether seed sets, in order, are those of the declared looks, none twice; early ones may be left out."""
    places = []
    for seeds in sets:
        declared = [i for i in range(len(looks.at)) if set(seeds) == set(looks.seeds(i))]
        if not declared:
            return False
        places.append(declared[0])
    return all(a <= b for a, b in pairwise(places))


def level_of(sets: Sequence[Sequence[int]], looks: Looks) -> float:
    """Return the two-sided level of the last of several looks.

    The declared one where they were declared; else that of two nested looks where it is known, else .05 shared by all.
    """
    if is_declared(sets, looks):
        return looks.level
    sizes = tuple(len(set(seeds)) for seeds in sets)
    nested = len(sets) == 2 and set(sets[0]) < set(sets[1])
    if nested and (sizes[0], sizes[1]) in TWO_LOOKS:
        return TWO_LOOKS[sizes[0], sizes[1]]
    return LEVEL / len(sets)


def refuse_undeclared(claim: Claim, entry: Mapping[str, Any], beyond: bool) -> None:
    """Raise UsageError where a look may not be stored: at pilots never, at undeclared seeds only when it is asked for."""
    if any(seed >= PILOTS for seed in entry["seeds"]):
        raise UsageError(
            f"Seeds from {PILOTS} on are pilots and never stored; claim {claim.id!r} declares {described(claim.looks)}."
        )
    if not entry["declared"] and not claim.check and not beyond:
        raise UsageError(
            f"Claim {claim.id!r} declares {described(claim.looks)}; a look at seeds {numbered(entry['seeds'])} goes beyond "
            "that and is not stored. Declare it before you measure, or add --beyond: the result says that it was not declared."
        )


def described(looks: Looks) -> str:
    """Write a declaration as text: "6 seeds (0-5)", "looks at 5 and 10 seeds (0-9)"."""
    seeds = numbered(looks.seeds(len(looks.at) - 1))
    if len(looks.at) == 1:
        return f"{looks.at[0]} seed{'s' if looks.at[0] > 1 else ''} ({seeds})"
    return f"looks at {' and '.join(map(str, looks.at))} seeds ({seeds})"


def numbered(seeds: Sequence[int]) -> str:
    """Write seeds as the command line takes them: "0-4, 7"."""
    runs: list[list[int]] = []
    for seed in sorted(set(seeds)):
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
