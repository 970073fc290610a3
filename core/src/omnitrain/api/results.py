"""What objectives and evaluators return: losses as sums with weights, metrics with their counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from omnitrain.api.figures import Drawn

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Part:
    """A named sum and the weight that divides it; for reporting only, no gradient flows from it."""

    total: Tensor
    weight: Tensor | float


@dataclass(frozen=True, slots=True)
class Auxiliary:
    """A loss term beside the main one: coefficient * total / weight, the weights summed over the whole update.

    weight None means the main loss's weight. A weight of its own under gradient accumulation or several processes
    needs an objective with the ability `Weighs`, which tells the weights before the forward pass.
    """

    total: Tensor
    weight: Tensor | float | None = None
    coefficient: float = 1.0


@dataclass(frozen=True, slots=True)
class Loss:
    """A SUM and its weight, never a mean: the engine divides once per update, over micro-batches and processes.

    total: scalar, sum over the weighted elements. weight: scalar, how many they are (zero is allowed).
    parts: sums for the log. auxiliary: further loss terms by name.
    """

    total: Tensor
    weight: Tensor | float
    parts: Mapping[str, Part] = field(default_factory=dict)
    auxiliary: Mapping[str, Auxiliary] = field(default_factory=dict)


Direction = Literal["higher", "lower", "none"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A measured number. n: how many items it rests on. interval: (low, high) at 95 %, where known."""

    value: float
    n: int
    direction: Direction = "none"
    interval: tuple[float, float] | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns; cells are text or numbers. Columns may have equal names."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """One thing a model produced. fields: name to text, in the order to be shown ("prompt", "output", ...)."""

    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that an evaluator found: metrics, tables, samples, and figures of any kind for the report, each by name."""

    metrics: Mapping[str, Metric] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    samples: Mapping[str, Sequence[Sample]] = field(default_factory=dict)
    figures: Mapping[str, Drawn] = field(default_factory=dict)
