"""Losses: finite, with gradients for everything trainable, additive, blind to padding, zero without weight."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from omnitrain.api import parse_field
from omnitrain.errors import UsageError
from omnitrain_testing.findings import Note
from omnitrain_testing.subjects import NO_PARTNER, ROWS, Subject, Substituted, tensors

if TYPE_CHECKING:
    from omnitrain_testing.losses import Sharp

WIDER = 3


def _actual(subject: Subject) -> Subject | None:
    return subject.found if isinstance(subject, Substituted) else subject


def gradients(subject: Subject) -> Iterator[str]:
    """The loss is a finite sum with a weight, and its gradient reaches every trainable parameter that it is for, no other."""
    from omnitrain.api import TrainsOnly
    from omnitrain_testing.losses import measure

    chosen = _actual(subject)
    if chosen is None:
        yield Note(NO_PARTNER)
        return
    model = chosen.model()
    reached: set[str] = set()
    names: list[str] = []
    for batch in chosen.batches:
        found = measure(chosen.objective, model, tensors(batch))
        if not math.isfinite(found.total) or not math.isfinite(found.weight):
            yield f"The loss of a batch is {found.total} with weight {found.weight}: both must be finite numbers."
            return
        if found.weight < 0:
            yield f"The weight of a batch is {found.weight}: return how many elements the sum is over."
        names = list(found.gradient)
        bad = [n for n, g in found.gradient.items() if g is not None and not bool(g.isfinite().all())]
        if bad:
            yield f"The gradient of {_listed(bad)} is not finite: look for a division or logarithm of zero."
            return
        reached |= {name for name, g in found.gradient.items() if g is not None}
    own = set(names)
    if isinstance(chosen.objective, TrainsOnly):
        wanted = {id(parameter) for parameter in chosen.objective.trained(model)}
        own = {name for name, parameter in model.named_parameters() if id(parameter) in wanted}
        strayed = [name for name in names if name in reached and name not in own]
        if strayed:
            yield (
                f"The gradient reaches {_listed(strayed)}, which 'trained' does not name: detach what comes from there, or "
                "compute it inside omnitrain.engine.frozen."
            )
    missed = [name for name in names if name in own and name not in reached]
    if missed:
        yield (
            f"No gradient reaches {_listed(missed)}: use it in the loss, or set requires_grad to False where it is "
            "not to be trained."
        )
    if not names:
        yield Note("the model has nothing to train")


def _listed(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def padding(subject: Subject) -> Iterator[str]:
    """Rows that are padded further, or beside longer ones, keep their loss and gradient."""
    from omnitrain_testing.losses import Sharp

    chosen = _actual(subject)
    if chosen is None:
        yield Note(NO_PARTNER)
        return
    sharp = Sharp(chosen.objective, chosen.model, chosen.batch)
    batch = chosen.batch
    wide = widened(batch, chosen.data.batch, chosen.facts)
    if wide is None:
        yield Note("no declared dimension is a length, so there is nothing to pad")
        return
    if not any("mask" in name or "weight" in name for name in batch):
        yield Note("no field of masks or weights, so padding can't be told from content")
        return
    narrow = sharp(batch)
    try:
        wider = sharp(wide)
    except (IndexError, ValueError) as error:
        yield Note(f"rows can't be made longer: {type(error).__name__}: {error}")
    else:
        difference = narrow.difference(wider, sharp.tolerance)
        if difference:
            yield (
                f"With {WIDER} more positions of padding the loss has {difference}: leave padded positions out of sums, "
                "weights, attention and normalisation."
            )
            return
    yield from _beside_longer(chosen, sharp)


def widened(batch: dict[str, Any], fields: Any, facts: dict[str, Any]) -> dict[str, Any] | None:
    """Return the batch with more positions at the end of every dimension that is a length, or None without such ones."""
    import torch

    from omnitrain.engine.joining import is_length, padding_value

    out = dict(batch)
    changed = False
    for name, spec in fields.items():
        value = batch.get(name)
        dims = parse_field(spec).dims or ()
        if not isinstance(value, torch.Tensor) or value.ndim != len(dims):
            continue
        pads = [WIDER if is_length(dim) else 0 for dim in dims]
        if any(pads):
            changed = True
            shape = [pair for amount in reversed(pads) for pair in (0, amount)]
            out[name] = torch.nn.functional.pad(value, shape, value=padding_value(name, value, facts))
    return out if changed else None


def _beside_longer(subject: Subject, sharp: Sharp) -> Iterator[str]:
    """Compare pairs of rows of like length with pairs of different length, both as the data collates them."""
    examples = _examples(subject, 4)
    if len(examples) < 4:
        return
    by_size = sorted(examples, key=lambda e: _size(sharp.cast(tensors(subject.data.collate([e])))))
    pairs = [(0, 1), (2, 3)], [(0, 3), (1, 2)]
    alike, mixed = ([tensors(subject.data.collate([by_size[i] for i in pair])) for pair in way] for way in pairs)
    one, other = sharp(alike[0]) + sharp(alike[1]), sharp(mixed[0]) + sharp(mixed[1])
    difference = one.difference(other, sharp.tolerance)
    if difference:
        yield f"Collated beside longer rows, the same rows have {difference}: pad in 'collate' so that the objective can tell."


def _size(batch: dict[str, Any]) -> int:
    return sum(value.numel() for value in batch.values() if hasattr(value, "numel"))


def _examples(subject: Subject, count: int) -> list[Any]:
    from itertools import islice

    from omnitrain.api import DrawsExamples
    from omnitrain.engine import isolated

    data, split = subject.data, subject.config.train_split
    with isolated(0):
        if isinstance(data, DrawsExamples):
            return [data.example(split, i, i) for i in range(count)]
        found = data.examples(split)
        if hasattr(found, "__len__") and hasattr(found, "__getitem__"):
            return [found[i] for i in range(min(count, len(found)))]
        return list(islice(found, count))


def splitting(subject: Subject) -> Iterator[str]:
    """The parts of a batch add up to the whole: sums, weights and gradients."""
    from omnitrain.api import CarriesState, Weighs
    from omnitrain_testing.losses import Sharp, evaluate

    chosen = _actual(subject)
    if chosen is None:
        yield Note(NO_PARTNER)
        return
    if isinstance(chosen.objective, CarriesState):
        yield Note("the objective carries state from batch to batch, so parts are no rows of one batch")
        return
    sharp = Sharp(chosen.objective, chosen.model, chosen.batch)
    batch, parts = _halved(chosen)
    if len(parts) < 2:
        yield Note("a batch of one row can't be split")
        return
    whole, first, second = sharp(batch), sharp(parts[0]), sharp(parts[1])
    difference = whole.difference(first + second, sharp.tolerance)
    if difference:
        yield (
            f"Two halves of a batch sum to {difference}: return a SUM over elements and its weight, never a mean, "
            "and let rows not see each other."
        )
    if isinstance(chosen.objective, Weighs):
        told = float(chosen.objective.weights(batch).get("", math.nan))
        weight = float(evaluate(chosen.objective, sharp.model, sharp.cast(batch)).weight)
        if not math.isclose(told, weight, rel_tol=1e-6):
            yield f"'weights' tells {told:g} for the main loss, the loss has weight {weight:g}: return the same number."


def _halved(subject: Subject) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a batch and its halves as training would make them: cut by the data, along "batch", or collated apart."""
    from omnitrain.api import OrdersBatches, SplitsBatches
    from omnitrain.engine.batches import split_rows

    data, batch = subject.data, subject.batch
    if isinstance(data, SplitsBatches):
        return batch, list(data.split_batch(batch, 2))
    try:
        return batch, split_rows(batch, data.batch, 2)
    except UsageError:
        if isinstance(data, OrdersBatches):
            raise
    examples = _examples(subject, ROWS)
    middle = len(examples) // 2
    collated = [tensors(data.collate(part)) for part in (examples, examples[:middle], examples[middle:]) if part]
    return collated[0], collated[1:]


def zero_weight(subject: Subject) -> Iterator[str]:
    """A batch without any weight has loss zero, not NaN, and a finite gradient."""
    from omnitrain_testing.losses import measure

    chosen = _actual(subject)
    if chosen is None:
        yield Note(NO_PARTNER)
        return
    model = chosen.model()
    for batch in _without_weight(chosen.batch):
        try:
            found = measure(chosen.objective, model, batch)
        except (IndexError, KeyError, RuntimeError):  # this way of taking the weight away is not the objective's
            continue
        if found.weight != 0:
            continue
        bad = [name for name, g in found.gradient.items() if g is not None and not bool(g.isfinite().all())]
        if found.total != 0 or bad:
            what = f"the gradient of {_listed(bad)} is not finite" if found.total == 0 else f"the loss is {found.total}"
            yield f"Where no element has weight {what}: return the sum itself, which is 0, and divide by nothing."
        return
    yield Note("no field of weights, masks or labels takes all weight away")


def _without_weight(batch: dict[str, Any]) -> Iterator[dict[str, Any]]:
    import torch

    arrays = {name: value for name, value in batch.items() if isinstance(value, torch.Tensor)}
    for word in ("weight", "loss", "mask"):
        names = [name for name in arrays if word in name]
        if names:
            yield {**batch, **{name: torch.zeros_like(arrays[name]) for name in names}}
    if "labels" in arrays and arrays["labels"].dtype == torch.int64:
        yield {**batch, "labels": torch.full_like(arrays["labels"], -100)}
