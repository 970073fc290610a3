"""What objectives and evaluators return: losses as sums with weights, metrics with their counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

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
    """Rows under named columns; cells are text or numbers."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """One thing a model produced. fields: name to text, in the order to be shown ("prompt", "output", ...)."""

    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Figure:
    """Curves over one axis, drawn by the report. series: name to points (x, y)."""

    series: Mapping[str, Sequence[tuple[float, float]]]
    x_label: str
    y_label: str
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A finished picture as SVG text or as bytes with their media type ("image/png", "video/mp4")."""

    content: str | bytes
    media_type: str = "image/svg+xml"
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that an evaluator found: metrics by name, tables, samples, figures and pictures for the report."""

    metrics: Mapping[str, Metric] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    samples: Mapping[str, Sequence[Sample]] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)
    pictures: Mapping[str, Picture] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a rendered example for the dry run. role: "plain", "mask", "loss", "special" or "padding"."""

    text: str
    role: Literal["plain", "mask", "loss", "special", "padding"] = "plain"
