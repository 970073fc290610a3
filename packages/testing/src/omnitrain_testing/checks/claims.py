"""The paper's claims: complete, and runnable as far as that shows without running them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from omnitrain.api import Claim, Contrast, Published
from omnitrain.api.claims import CONTRAST_KINDS, SCALES
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
    for name in ("statement", "measure"):
        if not str(getattr(claim, name)).strip():
            yield f"Its {name!r} is empty: fill it."
    if claim.minutes <= 0:
        yield f"It takes {claim.minutes} minutes: name a time above zero."
    if not claim.paper:
        yield "It gives no number of the paper: fill 'paper' with Published values, None where no source was available."
    for name, published in claim.paper.items():
        if not isinstance(published, Published) or not published.source.strip():
            yield f"The paper's {name!r} has no source: name the table, figure or section."
    yield from _contrasts(claim)
    yield from _variants(examination, claim)
    yield from _measure(claim)
    yield from _stored(examination, claim)


def _contrasts(claim: Claim) -> Iterator[str]:
    """What is compared with what, doing nothing among it, by declared margins, over declared seeds."""
    if not claim.contrasts:
        yield "It compares nothing: list at least one Contrast."
    for contrast in [*claim.contrasts, *(row for row in claim.nothing if isinstance(row, Contrast))]:
        what = f"Its contrast of {contrast.metric!r} with {contrast.opponent!r}"
        if not contrast.metric.strip() or not contrast.opponent.strip() or contrast.metric == contrast.opponent:
            yield f"{what} does not name two different numbers."
        if contrast.direction not in ("higher", "lower"):
            yield f"{what} has the direction {contrast.direction!r}: write 'higher' or 'lower'."
        if contrast.kind not in CONTRAST_KINDS:
            yield f"{what} has the kind {contrast.kind!r}: write one of {', '.join(CONTRAST_KINDS)}."
        if contrast.scale not in SCALES:
            yield f"{what} has the scale {contrast.scale!r}: write one of {', '.join(SCALES)}."
        if contrast.margin < 0 or (contrast.margin == 0 and contrast.kind in ("not-worse", "equal") and not claim.check):
            yield f"{what} has the margin {contrast.margin:g}: say by how much, above 0, 'not-worse' and 'equal' may be off."
        if contrast.smallest is not None and contrast.smallest <= 0:
            yield f"{what} has {contrast.smallest:g} as the smallest effect of interest: write a number above 0, or none."
    if not claim.nothing:
        yield "It has no row of doing nothing: name in 'nothing' what chance, an untrained or a frozen model gives."
    if not claim.check and claim.looks.at[0] < 2:
        yield "It is looked at after one seed, which has no interval: declare at least two seeds, or that it is a check."


def _stored(examination: Examination, claim: Claim) -> Iterator[str]:
    """Stored numbers are those that the claim names, at the looks that it declares, judged as they are now."""
    from omnitrain.evidence.claims import judged_again, needed_names
    from omnitrain.evidence.stored import read_stored

    checkout = examination.checkout
    path = checkout / "results" / "claims.json" if checkout is not None else None
    if path is None or not path.is_file():
        return
    try:
        rows = {row["id"]: row for row in read_stored(path, "claims")["claims"]}
    except (OmnitrainError, KeyError) as error:
        yield f"Its stored results can't be read: {error}"
        return
    row = rows.get(claim.id)
    if row is None:
        return
    missing = [name for name in needed_names(claim) if name not in row["values"]]
    if missing:
        known = ", ".join(row["values"])
        yield f"Its contrasts name {' and '.join(missing)}, which the stored values lack: they have {known}."
        return
    again = judged_again(claim, row)
    for key in ("verdict", "beyond"):
        if again[key] != row[key]:
            yield (
                f"Its stored {key!r} is {row[key]!r}, while its stored values and what it declares give {again[key]!r}: "
                f"run 'omnitrain reproduce {examination.plugin.name} --write-readme' again."
            )


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
        yield f"Its measure {claim.measure!r} is not a function: name one that takes finished runs and returns numbers."
