"""Heat maps as SVG text: cells with their numbers where there are few, an image inside the drawing where there are many."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from omnitrain.report import svg
from omnitrain.report.curves import WIDTH
from omnitrain.report.numbers import number
from omnitrain.report.palettes import Scale, colours, scale_legend, scale_of
from omnitrain.runs.png import indexed_png

# More rows or columns than this are drawn as an image.
MOST_CELLS = 40
# An image has at most so many rows and columns; larger matrices are averaged over neighbours.
MOST_PIXELS = 512
LARGEST_CELL, LARGEST_CELL_HEIGHT, SMALLEST_CELL_HEIGHT = 64.0, 40.0, 15.0
IMAGE_HEIGHT = 420.0
LETTER = 6.4
LONGEST_NAME = 22
RIGHT, TOP = 10.0, 8.0

Matrix = Sequence[Sequence[float | None]]


def is_wide(figure: Mapping[str, Any]) -> bool:
    """Whether a stored heat map needs the page's whole width: several matrices, or many cells in a row."""
    columns = max((len(row) for matrix in figure["values"].values() for row in matrix), default=0)
    return len(figure["values"]) > 2 or 14 < columns <= MOST_CELLS


def heatmap(figure: Mapping[str, Any]) -> tuple[Markup, Markup]:
    """Return the drawing and the legend of a stored heat map; several matrices stand side by side."""
    panels: Mapping[str, Matrix] = figure["values"]
    values = [v for matrix in panels.values() for row in matrix for v in row if v is not None]
    scale = scale_of(values, figure["low"], figure["high"], figure["centre"])
    if scale is None:
        return Markup('<p class="soft">no finite values</p>'), Markup("")
    texts = _cell_texts(panels, scale)
    width = WIDTH / 2 if len(panels) > 1 else 2 * WIDTH + 20 if is_wide(figure) else WIDTH
    drawn = [_panel(name, matrix, figure, scale, texts, width) for name, matrix in panels.items()]
    inner = Markup("").join(drawn)
    drawing = inner if len(panels) == 1 else Markup('<div class="panels">{}</div>').format(inner)
    return drawing, scale_legend(scale, figure["scale"])


def _cell_texts(panels: Mapping[str, Matrix], scale: Scale) -> int | None:
    """Return with how many decimals cells are written, or None for numbers too large or too small for cells."""
    values = [abs(v) for matrix in panels.values() for row in matrix for v in row if v is not None]
    width = scale.high - scale.low or abs(scale.high) or 1.0
    if max(values, default=0.0) >= 1e5 or width < 1e-3:
        return None
    if all(v == int(v) for v in values):
        return 0
    return max(0, 2 - math.ceil(math.log10(width)))


def _panel(name: str, matrix: Matrix, figure: Mapping[str, Any], scale: Scale, decimals: int | None, width: float) -> Markup:
    rows, columns = len(matrix), max((len(row) for row in matrix), default=0)
    place = _Place(figure, rows, columns, width)
    said = f"heat map{f' of {name}' if name else ''}: {rows} rows, {columns} columns"
    said += f", from {number(float(scale.low))} to {number(float(scale.high))} {figure['scale']}".rstrip()
    parts = [svg.head(width, place.height, said, "heat")]
    if rows and columns:
        few = rows <= MOST_CELLS and columns <= MOST_CELLS
        parts.append(_cells(matrix, figure, scale, decimals, place) if few else _image(matrix, scale, place))
        parts += [_row_names(figure, place), _column_names(figure, place)]
    drawn = Markup("").join([*parts, Markup("</svg>")])
    if not name:
        return drawn
    return Markup('<div class="panel"><div class="panel-name">{}</div>{}</div>').format(svg.clean(name), drawn)


class _Place:
    """Where the cells of a matrix and its names lie in a drawing."""

    def __init__(self, figure: Mapping[str, Any], rows: int, columns: int, width: float) -> None:
        few = rows <= MOST_CELLS and columns <= MOST_CELLS
        longest = max((min(len(n), LONGEST_NAME) for n in figure["rows"]), default=0)
        self.rows, self.columns, self.width = rows, columns, width
        self.left = LETTER * longest + (8 if longest else 2) + (20 if figure["row_label"] else 0)
        room = width - self.left - RIGHT
        self.cell_width = min(room / max(columns, 1), LARGEST_CELL if few else math.inf)
        height = min(self.cell_width, LARGEST_CELL_HEIGHT)
        if few:
            self.cell_height = max(height, SMALLEST_CELL_HEIGHT)
        else:
            self.cell_height = min(self.cell_width * columns / max(rows, 1), room / max(rows, 1), IMAGE_HEIGHT / max(rows, 1))
            if figure["rows"] == [] and figure["columns"] == []:
                # Matrices without names, adjacency matrices for instance, keep their shape.
                self.cell_width = self.cell_height = min(room / max(columns, 1), IMAGE_HEIGHT / max(rows, 1))
        self.right, self.bottom = self.left + self.cell_width * columns, TOP + self.cell_height * rows
        wide = max((min(len(n), LONGEST_NAME) for n in figure["columns"]), default=0) * LETTER
        self.is_turned = wide > self.cell_width * _step(columns, self.cell_width, wide) - 4
        names = (wide * 0.64 + 16 if self.is_turned else 20) if wide else 4
        self.label_y = self.bottom + names + 14
        self.height = self.label_y + 6 if figure["column_label"] else self.bottom + names + 2


def _step(columns: int, cell: float, wide: float) -> int:
    """Return of how many columns one is named: as many as fit when their names are turned."""
    return max(1, math.ceil(min(wide + 8.0, 20.0) / cell)) if cell > 0 else max(columns, 1)


def _cells(matrix: Matrix, figure: Mapping[str, Any], scale: Scale, decimals: int | None, place: _Place) -> Markup:
    written = [["" if v is None or decimals is None else _written(v, decimals) for v in row] for row in matrix]
    longest = max((len(text) for row in written for text in row), default=0)
    fits = longest * LETTER < place.cell_width - 2
    gap = 1.0 if place.cell_width > 12 else 0.0
    parts = []
    for i, row in enumerate(matrix):
        y = TOP + place.cell_height * i
        for j, value in enumerate(row):
            x = place.left + place.cell_width * j
            kind = "gap" if value is None else scale.name(value)
            box = Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>')
            size = place.cell_width - gap, place.cell_height - gap
            parts.append(box.format(kind, x, y, *size, svg.clean(_said(figure, i, j, value))))
            if fits and written[i][j]:
                middle = x + size[0] / 2, y + size[1] / 2 + 4
                parts.append(svg.text(*middle, written[i][j], "middle", f"value {kind}"))
    return Markup("").join(parts)


def _written(value: float, decimals: int) -> str:
    return f"{value + 0.0:.{decimals}f}".replace("-", "\u2212")


def _said(figure: Mapping[str, Any], row: int, column: int, value: float | None) -> str:
    across = figure["columns"][column] if figure["columns"] else f"column {column + 1}"
    down = figure["rows"][row] if figure["rows"] else f"row {row + 1}"
    return f"{down}, {across}: {'no value' if value is None else number(float(value))}"


def _image(matrix: Matrix, scale: Scale, place: _Place) -> Markup:
    """Draw a matrix as two images, one for light and one for dark pages."""
    pooled = _pooled(matrix, max(place.columns, 1))
    clear = scale.levels
    numbers = bytes(clear if v is None else scale.level(v) for row in pooled for v in row)
    parts = []
    for mode, dark in (("on-light", False), ("on-dark", True)):
        palette = [*colours(scale.letter, dark), (0, 0, 0)]
        content = base64.b64encode(indexed_png(numbers, len(pooled[0]), len(pooled), palette, clear)).decode("ascii")
        tag = Markup('<image class="{}" x="{:.1f}" y="{:g}" width="{:.1f}" height="{:.1f}" preserveAspectRatio="none" ')
        begun = tag.format(mode, place.left, TOP, place.right - place.left, place.bottom - TOP)
        parts.append(begun + Markup('href="data:image/png;base64,{}"/>').format(content))
    return Markup("").join(parts)


def _pooled(matrix: Matrix, columns: int) -> list[list[float | None]]:
    """Return at most MOST_PIXELS rows and columns: means over neighbours, of the values that are there."""
    down, across = math.ceil(len(matrix) / MOST_PIXELS), math.ceil(columns / MOST_PIXELS)
    if down == across == 1:
        return [list(row) for row in matrix]
    pooled = []
    for top in range(0, len(matrix), down):
        block = matrix[top : top + down]
        row = []
        for left in range(0, columns, across):
            found = [v for line in block for v in line[left : left + across] if v is not None]
            row.append(sum(found) / len(found) if found else None)
        pooled.append(row)
    return pooled


def _row_names(figure: Mapping[str, Any], place: _Place) -> Markup:
    parts = []
    each = max(1, math.ceil(12.0 / place.cell_height))
    for i, name in enumerate(figure["rows"]):
        if i % each == 0:
            y = TOP + place.cell_height * (i + 0.5) + 4
            parts.append(svg.text(place.left - 6, y, svg.shortened(name, LONGEST_NAME), "end"))
    if figure["row_label"]:
        parts.append(svg.turned(12, (TOP + place.bottom) / 2, -90, figure["row_label"], "middle", "label"))
    return Markup("").join(parts)


def _column_names(figure: Mapping[str, Any], place: _Place) -> Markup:
    parts = []
    longest = max((min(len(n), LONGEST_NAME) for n in figure["columns"]), default=0) * LETTER
    each = _step(place.columns, place.cell_width, longest)
    for j, name in enumerate(figure["columns"]):
        x, said = place.left + place.cell_width * (j + 0.5), svg.shortened(name, LONGEST_NAME)
        if j % each == 0 and place.is_turned:
            parts.append(svg.turned(x + 3, place.bottom + 12, -40, said, "end"))
        elif j % each == 0:
            parts.append(svg.text(x, place.bottom + 15, said, "middle"))
    if figure["column_label"]:
        middle = (place.left + place.right) / 2
        parts.append(svg.text(middle, place.label_y, figure["column_label"], "middle", "label"))
    return Markup("").join(parts)
