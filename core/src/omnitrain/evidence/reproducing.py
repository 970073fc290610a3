"""Measure the claims of a plugin again: run what is missing, then judge each claim over its seeds."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omnitrain.api.claims import Claim
from omnitrain.errors import PluginError, UsageError, nearest
from omnitrain.evidence.claims import claim_row, measure_seed, with_family
from omnitrain.evidence.looks import look
from omnitrain.evidence.origin import origin_of
from omnitrain.evidence.stored import SCHEMA
from omnitrain.evidence.trials import Plan, Trial, is_finished, make_plan, seconds_of
from omnitrain.evidence.workers import Pool, make_pool, processors, run_trials
from omnitrain.plugins import Registry
from omnitrain.recipes import fingerprint
from omnitrain.runs import Display, StopRequest
from omnitrain.runs.environment import versions
from omnitrain.runs.progress import duration


def chosen_claims(plugin: str, ids: Sequence[str], registry: Registry) -> list[Claim]:
    """Return the named claims of a plugin, all where none is named.

    Raises PluginError when it has none, UsageError with the nearest ids for one that it doesn't have.
    """
    claims = registry.claims(plugin)
    if not claims:
        raise PluginError(f"Plugin {plugin!r} declares no claims.")
    known = {claim.id: claim for claim in claims}
    for wanted in ids:
        if wanted not in known:
            raise UsageError(f"Plugin {plugin!r} has no claim {wanted!r}. {nearest(wanted, known)}")
    return [claim for claim in claims if not ids or claim.id in ids]


def machine(pool: Pool) -> str:
    """Describe in one line where the runs are made, without names of the machine."""
    torch = "".join(f", torch {version}" for version in versions(("torch",)).values())
    share = f"{pool.jobs} at a time with {pool.threads} thread{'s' if pool.threads > 1 else ''} each"
    return f"{platform.machine()}, {processors()} processors, Python {platform.python_version()}{torch}, runs {share}"


def reproduce(
    plugin: str,
    claims: Sequence[Claim],
    seeds: int | Sequence[int] | None,
    out: Path,
    registry: Registry,
    jobs: int | None = None,
    quiet: bool = False,
    made: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    allow: Callable[[Claim, Mapping[str, Any]], None] = lambda claim, look: None,
) -> list[dict[str, Any]]:
    """Run what claims rest on below `out`, as far as it is not there, and measure them: rows as `claim_row` gives them.

    seeds: these, or so many from each claim's first one on; None: those of each claim's first look. made: looks that were made
    earlier, by claim. allow: called with each claim and its look before anything runs; it raises what forbids it.
    Raises Stopped on request, the error of a run that fails, PluginError for a measure that fails.
    """
    own = {claim.id: _seeds(claim, seeds) for claim in claims}
    plan = make_plan(plugin, claims, own, out, registry)
    looks = {}
    for claim in plan.claims:
        earlier = list((made or {}).get(claim.id, ()))
        looks[claim.id] = [*earlier, look(own[claim.id], fingerprint(plan.settings[claim.id]), claim.looks, earlier)]
        allow(claim, looks[claim.id][-1])
    pool = make_pool(jobs, len(plan.trials))
    _run_missing(plan, pool, registry, quiet)
    return [_measured(plugin, plan, claim, looks[claim.id], machine(pool), registry) for claim in plan.claims]


def _seeds(claim: Claim, seeds: int | Sequence[int] | None) -> tuple[int, ...]:
    if isinstance(seeds, int):
        return tuple(range(claim.looks.first, claim.looks.first + seeds))
    return claim.looks.seeds() if seeds is None else tuple(seeds)


def _run_missing(plan: Plan, pool: Pool, registry: Registry, quiet: bool) -> None:
    missing = [trial for trial in plan.trials if not is_finished(trial, registry)]
    done = len(plan.trials) - len(missing)
    with StopRequest() as stop:
        display = Display(stop.raise_if_asked, quiet)
        if done:
            display.say(f"{done} of {len(plan.trials)} runs finished before, not run again")
        if not missing:
            return
        with display.bar("runs", len(missing)) as bar:

            def ended(trial: Trial, seconds: float) -> None:
                display.say(f"{trial.label}: finished in {duration(seconds)} ({trial.folder})")
                bar.advance()

            run_trials(missing, pool, stop, ended)


def _measured(
    plugin: str, plan: Plan, claim: Claim, looks: Sequence[Mapping[str, Any]], where: str, registry: Registry
) -> dict[str, Any]:
    rows = []
    seconds: dict[Path, float] = {}
    for seed in plan.seeds[claim.id]:
        trials = plan.of(claim, seed)
        rows.append(measure_seed(claim, {name: trial.folder for name, trial in trials.items()}, seed))
        seconds |= {trial.folder: seconds_of(trial) for trial in trials.values()}
    origin = {**origin_of(plugin, list(seconds), registry), "machine": where}
    return claim_row(claim, plan.seeds[claim.id], rows, looks, origin, plan.settings[claim.id], sum(seconds.values()))


def results_json(plugin: str, rows: Sequence[Mapping[str, Any]], registry: Registry) -> dict[str, Any]:
    """Return {schema, plugin, claims} as plain values, adjusted within the plugin's family."""
    return {"schema": SCHEMA, "plugin": plugin, "claims": with_family(rows, registry.claims(plugin))}
