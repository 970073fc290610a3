"""The runs that claims rest on: each recipe with its overrides once per seed, whichever claims share it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from omnitrain.api.claims import Claim
from omnitrain.engine.identity import product, stage_basis, stage_code
from omnitrain.evidence.origin import resolved, settings_fingerprint
from omnitrain.places import cache_folder
from omnitrain.plugins import Registry
from omnitrain.recipes import ResolvedRecipe, fingerprint, locked_values
from omnitrain.runs import RunDirectory
from omnitrain.runs.contents import Contents
from omnitrain.runs.directory import RUN_FILE

DIGITS = 8


@dataclass(frozen=True)
class Trial:
    """One run. address, overrides: as `omnitrain run` takes them. label: the first claim's variant that needs it."""

    label: str
    address: str
    overrides: tuple[str, ...]
    seed: int
    recipe: ResolvedRecipe
    folder: Path

    @property
    def log(self) -> Path:
        """Where everything that the run prints is kept."""
        return self.folder.with_name(self.folder.name + ".log")


@dataclass(frozen=True)
class Plan:
    """What is to be run for some claims. seeds: by claim. settings: fingerprints of recipes by claim and variant.
    variants: by (claim, variant, seed).
    """

    claims: tuple[Claim, ...]
    seeds: Mapping[str, tuple[int, ...]]
    settings: Mapping[str, Mapping[str, str]]
    trials: tuple[Trial, ...]
    variants: Mapping[tuple[str, str, int], Trial]

    def of(self, claim: Claim, seed: int) -> dict[str, Trial]:
        """Return the runs of one claim and seed by variant."""
        return {v.name: self.variants[claim.id, v.name, seed] for v in claim.variants}


def make_plan(
    plugin: str, claims: Sequence[Claim], seeds: Mapping[str, tuple[int, ...]], out: Path, registry: Registry
) -> Plan:
    """Check the recipe of every variant and collect the runs; equal settings are one run, for whichever claims.

    Raises UsageError or PluginError for settings that a recipe does not take, before anything is run.
    """
    trials: dict[Path, Trial] = {}
    variants: dict[tuple[str, str, int], Trial] = {}
    settings: dict[str, dict[str, str]] = {claim.id: {} for claim in claims}
    for claim in claims:
        for variant in claim.variants:
            address, recipe = resolved(plugin, claim, variant, registry)
            settings[claim.id][variant.name] = settings_fingerprint(recipe)
            stem = f"{address.replace('/', '-')}-{settings[claim.id][variant.name][:DIGITS]}"
            for seed in seeds[claim.id]:
                folder = out / f"{stem}-seed{seed}"
                label = f"{claim.id} {variant.name}, seed {seed}"
                trial = Trial(label, address, variant.overrides, seed, replace(recipe, seed=seed), folder)
                variants[claim.id, variant.name, seed] = trials.setdefault(folder, trial)
    return Plan(tuple(claims), dict(seeds), settings, tuple(trials.values()), variants)


def is_finished(trial: Trial, registry: Registry) -> bool:
    """Whether a run is there, complete, and made with these settings and these versions of the code.

    Raises EnvironmentFault for a damaged run directory.
    """
    folder = RunDirectory(trial.folder)
    if not (trial.folder / RUN_FILE).exists() or folder.record["fingerprint"] != fingerprint(locked_values(trial.recipe)):
        return False
    upstream: dict[str, str] = {}
    contents = Contents(cache_folder())
    for stage in trial.recipe.stages:
        record = folder.stage_record(stage.name)
        digits = stage_basis(trial.recipe, stage, upstream, stage_code(stage, registry), contents, record).digits
        if record is None or record.status != "finished" or record.fingerprint != digits:
            return False
        upstream[stage.name] = product(digits, record)
    return True


def seconds_of(trial: Trial) -> float:
    """Return how long the stages of a finished run took, also when it was stopped and gone on with."""
    folder = RunDirectory(trial.folder)
    records = [folder.stage_record(stage.name) for stage in trial.recipe.stages]
    return sum(record.seconds for record in records if record is not None)
