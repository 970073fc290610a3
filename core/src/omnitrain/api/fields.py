"""What a batch carries and what an objective needs from it, written as "dtype[dimension, ...]"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

Fields = Mapping[str, str]

_SPEC = re.compile(r"^(?P<dtype>[a-z]+[0-9]*)(?:\[(?P<dims>[^\]]*)\])?(?P<optional>\?)?$")
_FAMILIES = {
    "int": ("int", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"),
    "float": ("float", "float16", "bfloat16", "float32", "float64"),
    "bool": ("bool",),
    "object": ("object", "str"),
}


@dataclass(frozen=True)
class FieldSpec:
    """One parsed field: dtype name, dimension names or sizes (None where any shape will do), whether it may be absent."""

    dtype: str
    dims: tuple[str, ...] | None
    optional: bool


@lru_cache(maxsize=1024)
def parse_field(spec: str) -> FieldSpec:
    """Parse "int64[batch, length]", "float32[]", "object" or, with a trailing "?", an optional field.

    Raises ValueError for anything else.
    """
    match = _SPEC.match(spec.strip())
    if match is None:
        raise ValueError(f"{spec!r} is not a field such as 'int64[batch, length]'")
    dims = match["dims"]
    parts = None if dims is None else tuple(d.strip() for d in dims.split(",") if d.strip())
    return FieldSpec(match["dtype"], parts, match["optional"] is not None)


def _fits(offered: FieldSpec, needed: FieldSpec) -> bool:
    if needed.dtype != offered.dtype and offered.dtype not in _FAMILIES.get(needed.dtype, ()):
        return False
    if needed.dims is None or offered.dims is None:
        return True
    return len(needed.dims) == len(offered.dims)


def _confusion(offered: FieldSpec, needed: FieldSpec, bound: dict[str, str]) -> str:
    """Note which offered dimension each needed one stands for; say which one would stand for two, or is of another size."""
    for wanted, found in zip(needed.dims or (), offered.dims or (), strict=False):
        if wanted.isdigit():
            if found.isdigit() and found != wanted:
                return f" ({found} is not {wanted})"
        elif bound.setdefault(wanted, found) != found:
            return f" ({wanted!r} is {bound[wanted]!r} in another field)"
    return ""


def misfits(offered: Fields, needed: Fields) -> list[str]:
    """List, one sentence each, what `needed` asks for and `offered` does not give. Empty when they fit.

    A needed dtype without a width ("int") accepts every width. The number of dimensions must agree, and two dimensions
    with one name in `needed` must have one name in `offered`: what reads [batch, length] twice can't take two lengths.
    """
    problems = []
    bound: dict[str, str] = {}
    for name, wanted in needed.items():
        need = parse_field(wanted)
        if name not in offered:
            if not need.optional:
                problems.append(f"field {name!r} ({wanted}) is missing")
            continue
        offer = parse_field(offered[name])
        if offer.optional and not need.optional:
            problems.append(f"field {name!r} ({offered[name]}) is in some batches only, needed is {wanted}")
        elif not _fits(offer, need):
            problems.append(f"field {name!r} is {offered[name]}, needed is {wanted}")
        elif confusion := _confusion(offer, need, bound):
            problems.append(f"field {name!r} is {offered[name]}, needed is {wanted}{confusion}")
    return problems
