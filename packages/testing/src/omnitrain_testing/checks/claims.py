"""The paper's claims: complete, and runnable as far as that shows without running them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from omnitrain.api import Claim, Published
from omnitrain.api.references import load_reference
from omnitrain.errors import OmnitrainError

if TYPE_CHECKING:
    from omnitrain_testing.examination import Examination


def present(examination: Examination) -> Iterator[str]:
    """A paper claims something; names are used once."""
    claims = examination.plugin.claims
    if not claims:
        yield "It carries none of its paper's claims: list them in Plugin.claims, each with the runs that measure it."
    ids = [claim.id for claim in claims]
    for name in sorted({i for i in ids if ids.count(i) > 1}):
        yield f"Two claims are named {name!r}: give each an id of its own."


def complete(examination: Examination, claim: Claim) -> Iterator[str]:
    """A claim says what, against what, by which runs, and where the paper says so."""
    for name in ("statement", "metric", "baseline", "measure"):
        if not str(getattr(claim, name)).strip():
            yield f"Its {name!r} is empty: fill it."
    if claim.direction not in ("higher", "lower"):
        yield f"Its direction is {claim.direction!r}: write 'higher' or 'lower'."
    if claim.seeds < 1 or claim.minutes <= 0:
        yield f"It has {claim.seeds} seeds and takes {claim.minutes} minutes: name at least one seed and a time above zero."
    if not claim.paper:
        yield "It gives no number of the paper: fill 'paper' with Published values, None where no source was available."
    for name, published in claim.paper.items():
        if not isinstance(published, Published) or not published.source.strip():
            yield f"The paper's {name!r} has no source: name the table, figure or section."
    yield from _variants(examination, claim)
    yield from _measure(claim)


def _variants(examination: Examination, claim: Claim) -> Iterator[str]:
    from omnitrain.recipes import load_recipe

    names = [variant.name for variant in claim.variants]
    if not names:
        yield "It rests on no run: list at least one Variant."
    if len(set(names)) != len(names):
        yield "Two of its variants have the same name: rename one."
    for variant in claim.variants:
        recipe = variant.recipe if "/" in variant.recipe else f"{examination.plugin.name}/{variant.recipe}"
        try:
            load_recipe(recipe, list(variant.overrides), examination.registry)
        except OmnitrainError as error:
            yield f"Variant {variant.name!r} can't be run: {error}"


def _measure(claim: Claim) -> Iterator[str]:
    try:
        target = load_reference(claim.measure)
    except Exception as error:  # whatever the module does at import
        yield f"Its measure {claim.measure!r} can't be imported: {type(error).__name__}: {error}."
        return
    if not callable(target):
        yield f"Its measure {claim.measure!r} is not a function: name one that takes the run directories and returns numbers."
