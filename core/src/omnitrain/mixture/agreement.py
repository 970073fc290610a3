"""Whether data can be mixed: their batches carry the same fields, and they tell a model the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from omnitrain.api.fields import Fields, misfits, parse_field
from omnitrain.api.protocols import TellsFacts
from omnitrain.errors import UsageError, nearest
from omnitrain.mixture.members import Member

_LARGEST = ("length", "positions")
"""Facts of which a model needs the largest."""
GROUPS = "group_names"
IDS = "example_ids"
"""What the engine reads of a batch where it is there; it is passed on, whoever declares it."""


def agreed_fields(members: Sequence[Member], drop: Sequence[str], keep: Sequence[str], group: str) -> Fields:
    """Return the fields that every member's batches carry, without those to be dropped; those to be kept as optional ones.

    Raises UsageError that names the members, the field and what differs.
    """
    known = {field: spec for member in members for field, spec in member.data.batch.items()}
    for name in (*drop, *keep):
        if name not in known:
            setting = "drop" if name in drop else "keep"
            raise UsageError(f"core/mixture: {setting}: no member carries a field {name!r}. {nearest(name, known)}")
    left = {*drop, *(() if all(IDS in member.data.batch for member in members) else (IDS,))}
    kept = [{name: spec for name, spec in member.data.batch.items() if name not in left} for member in members]
    first = members[0]
    for member, fields in zip(members[1:], kept[1:], strict=True):
        for one, other, names in ((fields, kept[0], (member, first)), (kept[0], fields, (first, member))):
            problem = _difference(one, {name: spec for name, spec in other.items() if name in one or name not in keep})
            if problem is not None:
                raise UsageError(
                    f"core/mixture: the batches of members.{names[0].name} ({names[0].use}) and members.{names[1].name} "
                    f"({names[1].use}) differ: {problem}."
                )
    if group in known and group not in drop:
        raise UsageError(f"core/mixture: the members carry a field {group!r} already; give `group` another name.")
    optional = {name for fields in kept for name, spec in fields.items() if parse_field(spec).optional}
    optional |= {name for name in keep if any(name not in fields for fields in kept)}
    agreed = {**{name: known[name] for name in keep}, **kept[0]}
    return {name: f"{spec.rstrip('?')}?" if name in optional else spec for name, spec in agreed.items()}


def _difference(offered: Fields, needed: Fields) -> str | None:
    """Say how the first field of `needed` that differs does, from the side of `offered`."""
    missing = next((name for name in needed if name not in offered), None)
    if missing is not None:
        return (
            f"the first carries no field {missing!r} ({needed[missing]}); keep: [{missing}] leaves it in the batches of "
            f"those that carry it, drop: [{missing}] leaves it out of the mixture where rows mean the same without it"
        )
    for name, spec in needed.items():
        one, other = parse_field(offered[name]).dims or (), parse_field(spec).dims or ()
        if [dim == "batch" for dim in one] != [dim == "batch" for dim in other]:
            return f"field {name!r} is {offered[name]} of the first and {spec} of the second"
    found = misfits(*({name: spec.rstrip("?") for name, spec in fields.items()} for fields in (offered, needed)))
    if found:
        return f"{found[0].replace('needed is', 'of the second it is')}; drop: [...] leaves a field out of the mixture"
    return None


def told(member: Member) -> Mapping[str, Any]:
    """Return what a member tells a model."""
    return member.data.facts() if isinstance(member.data, TellsFacts) else {}


def agreed_facts(members: Sequence[Member], facts_of: str | None) -> dict[str, Any]:
    """Return what all members tell a model, without their groups; of positions and lengths the largest.

    facts_of: the member whose word counts where they differ. Raises UsageError that names a fact that differs.
    """
    facts: dict[str, Any] = {}
    origin: dict[str, Member] = {}
    for member in sorted(members, key=lambda m: m.name != facts_of):
        for key, value in told(member).items():
            if key == GROUPS or key == "positions_setting":
                continue
            if key not in facts:
                facts[key], origin[key] = value, member
            elif key in _LARGEST and isinstance(value, int):
                facts[key], origin[key] = max((facts[key], origin[key]), (value, member), key=lambda pair: pair[0])
            elif facts[key] != value and facts_of is None:
                raise UsageError(
                    f"core/mixture: members.{origin[key].name} and members.{member.name} tell a model different things: {key} "
                    f"is {_short(facts[key])} of the first and {_short(value)} of the second; give both the same settings "
                    "(such as one tokenizer by its path), or set facts_of to the member whose word counts."
                )
    if "positions" in origin and "positions_setting" in (setting := told(origin["positions"])):
        facts["positions_setting"] = f"members.{origin['positions'].name}.data.{setting['positions_setting']}"
    return facts


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
