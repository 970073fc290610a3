"""Where stored numbers come from, and whether the installed code is still that of the numbers."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from omnitrain.api.claims import Claim, Contrast, Variant
from omnitrain.errors import OmnitrainError
from omnitrain.evidence.checkouts import checkout
from omnitrain.evidence.judging import against_nothing
from omnitrain.plugins import Registry
from omnitrain.recipes import ResolvedRecipe, fingerprint, load_recipe, locked_values
from omnitrain.runs import RunDirectory
from omnitrain.runs.environment import code_versions, describe_cpu, versions

NOT_RECORDED = "not recorded"
LIBRARIES = ("torch", "numpy", "transformers")
GIT_TIMEOUT_S = 20


def resolved(plugin: str, claim: Claim, variant: Variant, registry: Registry) -> tuple[str, ResolvedRecipe]:
    """Return a variant's address and recipe; a name without a plugin is one of the claim's own.

    Raises UsageError or PluginError for settings that the recipe does not take.
    """
    address = variant.recipe if "/" in variant.recipe else f"{plugin}/{variant.recipe}"
    try:
        return address, load_recipe(address, list(variant.overrides), registry)
    except OmnitrainError as error:
        raise type(error)(f"Variant {variant.name!r} of claim {claim.id!r} can't be run: {error}") from error


def settings_fingerprint(recipe: ResolvedRecipe) -> str:
    """Return the fingerprint of all that a recipe's stages are, whatever its seed and summary."""
    return fingerprint({"stages": locked_values(recipe)["stages"]})


def fingerprints(plugin: str, claim: Claim, registry: Registry) -> dict[str, str]:
    """Return the fingerprint of the recipe of each of a claim's variants."""
    return {v.name: settings_fingerprint(resolved(plugin, claim, v, registry)[1]) for v in claim.variants}


def origin_of(plugin: str, folders: Sequence[Path], registry: Registry) -> dict[str, Any]:
    """Return what made these runs: versions, commit, date and processor, as the runs themselves wrote it down.

    versions: of the distributions that the stages come from, of torch, numpy and transformers. commit: of the plugin's
    checkout now, where it is installed from one. date: when the last of the runs was begun. cpu: kind, capability as torch
    sees it, whether bfloat16 is computed by the processor or emulated.
    """
    code: dict[str, str] = {}
    cpus: list[dict[str, Any]] = []
    dates: list[str] = []
    for folder in folders:
        run = RunDirectory(folder)
        record = run.record
        packages = record["environment"].get("packages", {})
        code |= {name: packages[name] for name in LIBRARIES if name in packages}
        for stage in record["recipe"]["stages"]:
            found = run.stage_record(stage["name"])
            code |= found.code if found is not None else {}
        dates.append(str(record["created"])[:10])
        cpu = record["environment"].get("cpu")
        if cpu is not None and cpu not in cpus:
            cpus.append(cpu)
    return {
        "versions": dict(sorted(code.items())),
        "commit": commit_of(plugin, registry) or NOT_RECORDED,
        "date": max(dates, default=NOT_RECORDED),
        "cpu": _with_capability(cpus[0]) if len(cpus) == 1 else (cpus or NOT_RECORDED),
    }


def _with_capability(cpu: Mapping[str, Any]) -> dict[str, Any]:
    """Add what torch calls this processor's instructions, where the runs were made on one of this kind."""
    if cpu != describe_cpu():
        return {**cpu, "capability": NOT_RECORDED}
    from importlib.util import find_spec

    if find_spec("torch") is None:
        return {**cpu, "capability": NOT_RECORDED}
    from omnitrain.engine.devices import cpu_capability

    return {**cpu, "capability": cpu_capability()}


def commit_of(plugin: str, registry: Registry) -> str | None:
    """Return the commit of a plugin's checkout, with "+" behind it where files differ, or None where there is none."""
    described = registry.plugin(plugin)
    folder = checkout(next(s.distribution for s in registry.states if s.plugin is described))
    git = shutil.which("git")
    if folder is None or git is None:
        return None
    commit = _output([git, "-C", str(folder), "rev-parse", "HEAD"])
    changed = _output([git, "-C", str(folder), "status", "--porcelain", "--untracked-files=no"])
    return f"{commit[:12]}{'+' if changed else ''}" if commit else None


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_TIMEOUT_S, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def changes_since(plugin: str, claim: Claim, row: Mapping[str, Any], registry: Registry) -> list[str] | None:
    """Say what differs between stored numbers and what is installed, in declaration, recipes and versions; [] for nothing, None
    where it can't be told.

    row: a stored claim.
    """
    found = [] if _declared(claim) == _stored_declaration(row) else ["what the claim declares"]
    stored = {name: variant.get("fingerprint", NOT_RECORDED) for name, variant in row["variants"].items()}
    now = fingerprints(plugin, claim, registry)
    if stored.keys() != now.keys():
        found.append("other variants")
    changed = [name for name, digits in now.items() if stored.get(name, digits) not in (digits, NOT_RECORDED)]
    if changed:
        found.append(f"the recipe of {', '.join(changed)}")
    if row["versions"] != NOT_RECORDED:
        present = {**code_versions(row["versions"]), **versions(LIBRARIES)}
        for name, version in row["versions"].items():
            if present.get(name) != version:
                found.append(f"{name} {version} -> {present.get(name, 'absent')}")
    unknown = NOT_RECORDED in stored.values() or row["versions"] == NOT_RECORDED
    return None if unknown and not found else found


def _declared(claim: Claim) -> list[Any]:
    nothing = [(c.metric, c.opponent) for c in against_nothing(claim)]
    return [[asdict(c) for c in claim.contrasts], nothing, list(claim.looks.at), claim.check]


def _stored_declaration(row: Mapping[str, Any]) -> list[Any]:
    names = [field.name for field in fields(Contrast)]
    contrasts = [{name: found.get(name) for name in names} for found in row["contrasts"]]
    nothing = [(found["metric"], found["name"]) for found in row["nothing"]]
    return [contrasts, nothing, list(row["declared"]["at"]), row["check"]]
