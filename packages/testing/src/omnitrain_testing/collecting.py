"""Which checks a plugin has to pass, known from its description, its configs and its recipe tiny alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from omnitrain_testing.checks import (
    claims,
    configs,
    data,
    golden,
    imports,
    layout,
    metadata,
    mistakes,
    models,
    objectives,
    readme,
    recipes,
    runs,
    updates,
)
from omnitrain_testing.examination import Examination
from omnitrain_testing.findings import Check
from omnitrain_testing.subjects import Substituted, data_subjects, subjects

HEALTHY = Check("healthy", metadata.healthy)
DECLARED = "declared exceptions"


def checks_of(examination: Examination) -> list[Check]:
    """Return the checks in the order in which they are best read: what is light first."""
    if examination.state.plugin is None:
        return [HEALTHY]
    checks = [HEALTHY, *_described(examination), *_components(examination), *_exercised(examination), *_whole(examination)]
    return [*checks, Check(DECLARED, partial(_declared, names=frozenset(check.name for check in checks)))]


def _declared(examination: Examination, names: frozenset[str]) -> Iterator[str]:
    """Exceptions and settings name checks and components that exist."""
    for name in examination.declared.exceptions:
        if name not in names:
            yield f"The declared exception {name!r} names no check of this plugin: take its name from 'omnitrain check'."
    known = {examination.address(component) for component in examination.plugin.components}
    for name in examination.declared.settings:
        if name not in known:
            yield f"The given settings name {name!r}, which this plugin does not hold: it holds {', '.join(sorted(known))}."


def _described(examination: Examination) -> Iterator[Check]:
    yield Check("light import", imports.light_import)
    yield Check("metadata", metadata.metadata)
    yield Check("paper", metadata.paper)
    yield Check("readme", readme.sections)
    yield Check("guarded updates", updates.guarded)
    plugin = examination.plugin
    if plugin.components:
        yield Check("layout addresses", layout.addresses)
    if plugin.claims or plugin.parity or plugin.bench:
        yield Check("layout evidence", layout.evidence)
    if examination.implements_paper:
        yield Check("layout folders", layout.folders)
        yield Check("layout description", layout.description)
        yield Check("layout reading guide", layout.reading_guide)


def _components(examination: Examination) -> Iterator[Check]:
    for component in examination.plugin.components:
        address = examination.address(component)
        yield Check(f"{address} config light", partial(imports.light_config, component=component))
        yield Check(f"{address} config documented", partial(configs.documented, component=component))
        yield Check(f"{address} config round trip", partial(configs.round_trip, component=component))
        yield Check(f"{address} config inputs", partial(configs.inputs, component=component))
        yield Check(f"{address} config strict", partial(configs.strict, component=component))
        yield Check(f"{address} exercised", partial(configs.exercised, component=component))


def _on(subject: Any, function: Callable[[Any], Iterable[str]]) -> Callable[[Examination], Iterable[str]]:
    return lambda _: function(subject)


def _exercised(examination: Examination) -> Iterator[Check]:
    for held in data_subjects(examination):
        yield Check(f"{held.name} batch fields", _on(held, data.batch_fields))
        yield Check(f"{held.name} read twice", _on(held, data.read_twice))
        yield Check(f"{held.name} fingerprint", _on(held, data.fingerprint))
    for subject in subjects(examination):
        if isinstance(subject, Substituted) and subject.kinds == {"data"} and not _only_here(examination, subject):
            continue
        yield Check(f"{subject.name} gradients", _on(subject, objectives.gradients))
        yield Check(f"{subject.name} padding", _on(subject, objectives.padding))
        yield Check(f"{subject.name} splitting", _on(subject, objectives.splitting))
        yield Check(f"{subject.name} zero weight", _on(subject, objectives.zero_weight))
        if subject.kinds & {"model"} or not isinstance(subject, Substituted):
            yield Check(f"{subject.name} save and load", _on(subject, models.save_and_load))


def _only_here(examination: Examination, subject: Substituted) -> bool:
    """Whether data that is not in tiny has settings of its own, so that it is worth a combination."""
    return subject.name in examination.declared.settings


def _whole(examination: Examination) -> Iterator[Check]:
    plugin = examination.plugin
    yield Check("recipes", recipes.present)
    for recipe in {recipe.name: recipe for recipe in plugin.recipes}.values():
        yield Check(f"recipe {recipe.name}", partial(recipes.dry_run, name=recipe.name))
    if any(recipe.name == "tiny" for recipe in plugin.recipes):
        yield Check("tiny runs", runs.tiny_run)
        yield Check("tiny determinism", runs.determinism)
        yield Check("tiny resume", runs.resume)
        if any(component.kind == "stage" for component in plugin.components):
            yield Check("tiny artifacts", runs.artifacts)
        yield Check("mistakes", mistakes.mistakes)
    if examination.implements_paper:
        yield Check("claims", claims.present)
    for claim in {claim.id: claim for claim in plugin.claims}.values():
        yield Check(f"claim {claim.id}", partial(claims.complete, claim=claim))
    if examination.implements_paper or plugin.parity is not None:
        yield Check("golden vectors", golden.vectors)
