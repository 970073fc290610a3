"""What an evaluation shows beside tables, drawn by the report: curves, heat maps, scatter plots, coloured text, images.

Numbers may be lists, numpy arrays or tensors on the CPU. None and what is not finite leave a gap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol


class Array(Protocol):
    """An array or a tensor: something with a length that becomes a list."""

    def __len__(self) -> int:
        """Return the size of the first dimension."""
        ...

    def tolist(self) -> Any:
        """Return the numbers as lists."""
        ...


Points = Sequence[tuple[float | None, float | None]] | Array
Bands = Sequence[tuple[float, float, float]] | Array


@dataclass(frozen=True, slots=True)
class Figure:
    """Curves over one axis.

    series: name to points (x, y). bands: name of a series to (x, low, high), drawn as an area behind its curve.
    Raises ValueError for the band of an unknown series.
    """

    series: Mapping[str, Points]
    x_label: str
    y_label: str
    caption: str = ""
    bands: Mapping[str, Bands] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the names."""
        for name in self.bands:
            if name not in self.series:
                raise ValueError(f"bands: no series is named {name!r}; there are {', '.join(self.series) or 'none'}")


@dataclass(frozen=True, slots=True)
class Heatmap:
    """A matrix as coloured cells, or several matrices by name on one scale, side by side.

    values: [row, column], or name to such a matrix. rows, columns: names, or empty for none (then the matrices may differ
    in size). scale: what the colours mean. low, high: ends of the scale, by default the smallest and largest value.
    centre: a value with a colour of its own, from which two colours run apart (0 for differences).
    Raises ValueError when names and values differ in number, or rows in length.
    """

    rows: Sequence[str]
    columns: Sequence[str]
    values: Any
    row_label: str = ""
    column_label: str = ""
    scale: str = ""
    low: float | None = None
    high: float | None = None
    centre: float | None = None
    caption: str = ""

    def __post_init__(self) -> None:
        """Check the sizes."""
        for name, matrix in self.panels().items():
            said = f"values of {name!r}" if name else "values"
            if self.rows and len(self.rows) != len(matrix):
                raise ValueError(f"{said}: {len(matrix)} rows for {len(self.rows)} names")
            widths = {len(row) for row in matrix}
            expected = {len(self.columns)} if self.columns and len(matrix) else widths
            if len(widths) > 1 or widths != expected:
                raise ValueError(f"{said}: rows of {sorted(widths)} columns for {len(self.columns)} names")

    def panels(self) -> Mapping[str, Any]:
        """Return the matrices by name; "" for a single one."""
        return self.values if isinstance(self.values, Mapping) else {"": self.values}


@dataclass(frozen=True, slots=True)
class Scatter:
    """Points of one or more series.

    series: name to points (x, y). labels: name of a series to a text per point. line: (slope, intercept) of a line to
    compare with, (1, 0) for the diagonal.
    Raises ValueError for labels of an unknown series or of another number.
    """

    series: Mapping[str, Points]
    x_label: str
    y_label: str
    caption: str = ""
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    line: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Check the labels."""
        for name, texts in self.labels.items():
            if len(texts) != len(self.series.get(name, ())):
                raise ValueError(f"labels of {name!r}: {len(texts)} for {len(self.series.get(name, ()))} points")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text. role: how it is set, in the dry run's examples and in `Text`.

    strength: in `Text`, how strongly the background is coloured: 0 not at all, 1 fully; below 0 in the opposite colour.
    """

    text: str
    role: Literal["plain", "mask", "loss", "special", "padding"] = "plain"
    strength: float | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """Coloured text: per paragraph its pieces, for instance the tokens of a reply with how much each changed.

    scale: what strengths mean, with the numbers at both ends ("total variation, 0 to 1"). legend: role to what it marks here.
    """

    paragraphs: Sequence[Sequence[Piece]]
    scale: str = ""
    legend: Mapping[str, str] = field(default_factory=dict)
    caption: str = ""


@dataclass(frozen=True, slots=True)
class ImageGrid:
    """Images in rows.

    images: uint8 arrays [height, width], [height, width, 3 or 4], or bytes of a PNG, JPEG, GIF or WebP file.
    captions: a text per image, or none. columns: images a row, by default as many as fit. rows: a name per row, needs
    columns.
    Raises ValueError for captions or rows of another number.
    """

    images: Sequence[Any]
    captions: Sequence[str] = ()
    columns: int | None = None
    rows: Sequence[str] = ()
    caption: str = ""

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.captions and len(self.captions) != len(self.images):
            raise ValueError(f"captions: {len(self.captions)} for {len(self.images)} images")
        if self.columns is not None and self.columns < 1:
            raise ValueError(f"columns: {self.columns}; expected at least 1")
        if self.rows and (self.columns is None or len(self.rows) != -(-len(self.images) // self.columns)):
            raise ValueError(f"rows: {len(self.rows)} names for {len(self.images)} images in {self.columns} columns")


@dataclass(frozen=True, slots=True)
class Picture:
    """A finished picture or film as bytes with their media type ("image/png", "video/mp4"), or as SVG text."""

    content: str | bytes
    media_type: str = "image/svg+xml"
    caption: str = ""


Drawn = Figure | Heatmap | Scatter | Text | ImageGrid | Picture
