"""Batches as declared, the same whenever they are read, and a fingerprint that tells different ones apart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from omnitrain.api import MakesRounds
from omnitrain.api.fields import FieldSpec, parse_field
from omnitrain.errors import OmnitrainError
from omnitrain_testing.findings import Note
from omnitrain_testing.perturbing import perturbed

if TYPE_CHECKING:
    from omnitrain_testing.subjects import DataSubject

SEED = 11
ADDED = {"example_ids", "member"}
"""What the engine reads of a batch wherever it is there."""


def batches(subject: DataSubject, data: Any, count: int = 2) -> list[dict[str, Any]]:
    """Return the first batches of the data's first split."""
    from omnitrain_testing.subjects import take

    return take(data, next(iter(data.splits())), subject.rows, SEED, count)


def batch_fields(subject: DataSubject) -> Iterator[str]:
    """A batch has exactly the declared fields, with their types and dimensions."""
    data = subject.build()
    declared = {name: parse_field(spec) for name, spec in data.batch.items()}
    for batch in batches(subject, data):
        found = set(batch) - (ADDED - set(declared))
        absent = sorted(name for name, spec in declared.items() if name not in batch and not spec.optional)
        if absent:
            yield f"A batch lacks the declared field {', '.join(absent)}: put it into the batch or take it out of 'batch'."
        extra = sorted(found - set(declared))
        if extra:
            yield f"A batch carries {', '.join(extra)}, which 'batch' does not declare: declare it with type and dimensions."
        sizes: dict[str, tuple[str, int]] = {}
        problems = [p for name in sorted(found & set(declared)) for p in _field(name, batch[name], declared[name], sizes)]
        yield from problems
        if absent or extra or problems:
            return


def _field(name: str, value: Any, spec: FieldSpec, sizes: dict[str, tuple[str, int]]) -> Iterator[str]:
    """Compare one value with its declaration. sizes: of the named dimensions seen so far in this batch."""
    dtype = str(getattr(value, "dtype", "object")).removeprefix("torch.")
    shape = tuple(value.shape) if hasattr(value, "shape") else (len(value),) if hasattr(value, "__len__") else ()
    if dtype != spec.dtype and not (dtype.startswith(spec.dtype) and not spec.dtype[-1].isdigit()):
        yield f"Field {name!r} is {dtype}, declared is {spec.dtype}: convert the values or change the declaration."
    if spec.dims is None:
        return
    if len(shape) != len(spec.dims):
        yield f"Field {name!r} has shape {list(shape)}, declared is [{', '.join(spec.dims)}]: make the two agree."
        return
    for dim, size in zip(spec.dims, shape, strict=True):
        owner, known = sizes.setdefault(dim, (name, int(dim) if dim.isdigit() else size))
        if known != size:
            yield (
                f"Dimension {dim!r} of field {name!r} is {size}, of {owner!r} it is {known}: "
                "give different dimensions different names."
            )


def read_twice(subject: DataSubject) -> Iterator[str]:
    """Reading again, in the same object and in a new one, gives the same batches."""
    from omnitrain_testing.losses import equal

    data = subject.build()
    first = batches(subject, data)
    if not equal(first, batches(subject, data)):
        yield (
            "The second reading of a split gives other batches than the first: keep no state in the data; take every "
            "draw from the seed that is handed in."
        )
    elif not equal(first, batches(subject, subject.build())):
        yield (
            "Built again from the same settings, the data gives other batches: take every draw from the seed that is "
            "handed in, and order nothing by sets, clocks or folders' listings."
        )
    elif isinstance(data, MakesRounds):
        yield from _over_rounds(subject, data)


def _over_rounds(subject: DataSubject, data: Any) -> Iterator[str]:
    """Yield what a further round of a model changes besides the rows that are trained on."""
    from omnitrain.engine import weights_digest
    from omnitrain_testing.losses import equal
    from omnitrain_testing.subjects import round_of

    model = subject.model()
    if model is None:
        yield Note("no training of tiny uses it, so there is no model that could make its rows")
        return
    weights, digits, fixed = weights_digest(model), data.fingerprint, _first_of_splits(subject, data)
    data.take_round(1, round_of(data, model, 1))
    if weights_digest(model) != weights:
        yield "Making a round changes the model: keep its weights and buffers as they are in 'make_part'."
    if data.fingerprint != digits:
        yield "The fingerprint changes with the round: hash settings and content, not what the model made."
    moved = [name for name, batch in _first_of_splits(subject, data).items() if not equal(batch, fixed[name])]
    if len(moved) > 1 or "valid" in moved:
        yield f"With another round the splits {', '.join(moved)} change: only the one that is trained on may."


def _first_of_splits(subject: DataSubject, data: Any) -> dict[str, Any]:
    from omnitrain.engine import in_order

    return {split: next(in_order(data, split, subject.rows, most=1)) for split in data.splits()}


def fingerprint(subject: DataSubject) -> Iterator[str]:
    """The fingerprint stays with the same data and changes with every setting that changes a batch."""
    from omnitrain_testing.losses import equal

    data = subject.build()
    digits = data.fingerprint
    if not isinstance(digits, str) or not re.fullmatch(r"[0-9a-f]{16,}", digits):
        yield f"The fingerprint {digits!r} is not 16 or more hexadecimal digits: hash content and settings."
        return
    if subject.build().fingerprint != digits:
        yield "Built again from the same settings, the data has another fingerprint: hash content and settings, nothing else."
        return
    original: Any = None
    tried = 0
    for key, config in perturbed(_config(subject)):
        try:
            if subject.unprepared(config).fingerprint != digits:
                tried += 1
                continue
            other = subject.build(config)
            if other.fingerprint != digits:
                tried += 1
                continue
            original = batches(subject, data) if original is None else original
            if not equal(original, batches(subject, other)):
                yield f"With another {key!r} the batches differ and the fingerprint does not: hash that setting too."
        except OmnitrainError:
            continue  # the changed setting does not fit this data
    if not tried:
        yield Note("no setting could be changed that changes the fingerprint")


def _config(subject: DataSubject) -> Any:
    from omnitrain.recipes import resolve_component

    address, settings = subject.described
    return resolve_component(address, "data", settings, subject.examination.registry, subject.name)
