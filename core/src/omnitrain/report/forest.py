"""Forest plots as SVG text: one row per comparison, its mean with interval, the seeds as dots, zero and margin as lines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from omnitrain.report import svg
from omnitrain.report.curves import LEFT, RIGHT, WIDTH, Axis, make_axis, tick_text
from omnitrain.report.numbers import number

ROW, HEAD, FOOT = 44.0, 10.0, 40.0
END = 5.0


@dataclass(frozen=True)
class Row:
    """One comparison. values: per seed. interval: of their mean, where there is one. limits: margins to be reached."""

    label: str
    values: Sequence[float]
    mean: float
    interval: tuple[float, float] | None = None
    limits: Sequence[float] = ()
    colour: int = 0


def forest(rows: Sequence[Row], x_label: str) -> Markup:
    """Return an <svg>; numbers that are not finite are left out. Zero always stands on the axis."""
    finite = [v for row in rows for v in (*row.values, row.mean, *(row.interval or ()), *row.limits) if math.isfinite(v)]
    axis = make_axis([0.0, *finite], LEFT, WIDTH - RIGHT - 10, 5)
    height = HEAD + ROW * len(rows) + FOOT
    parts = [svg.head(WIDTH, height, x_label), _axis(axis, height, x_label)]
    parts += [_row(row, HEAD + ROW * i, axis) for i, row in enumerate(rows)]
    return Markup("").join([*parts, Markup("</svg>")])


def _axis(axis: Axis, height: float, label: str) -> Markup:
    bottom = height - FOOT
    zero = axis.place(0.0)
    parts = [svg.line("axis", LEFT, bottom, WIDTH - RIGHT, bottom), svg.line("axis", zero, HEAD, zero, bottom)]
    for tick in axis.ticks:
        x = axis.place(tick)
        parts.append(svg.line("grid", x, HEAD, x, bottom))
        parts.append(svg.text(x, bottom + 18, tick_text(tick, axis.ticks), "middle"))
    parts.append(svg.text((LEFT + WIDTH - RIGHT) / 2, height - 6, label, "middle", "label"))
    return Markup("").join(parts)


def _row(row: Row, top: float, axis: Axis) -> Markup:
    """Write the label over the line of its row, so that it may be long."""
    y, label = top + 30, svg.clean(row.label)
    parts = [svg.text(LEFT, top + 14, row.label, "start", "tick")]
    if row.interval is not None and all(map(math.isfinite, row.interval)):
        low, high = (axis.place(v) for v in row.interval)
        parts += [svg.line("interval", low, y, high, y)]
        parts += [svg.line("interval", x, y - END, x, y + END) for x in (low, high)]
    parts += [svg.line("limit", axis.place(v), y - 9, axis.place(v), y + 9) for v in row.limits if math.isfinite(v)]
    dot = Markup('<circle class="dot s{}{}" cx="{:.1f}" cy="{:g}" r="{:g}"><title>{}</title></circle>')
    for i, value in enumerate(row.values):
        if math.isfinite(value):
            parts.append(dot.format(row.colour, " faint", axis.place(value), y, 3, f"{label}, {i + 1}: {number(value)}"))
    if math.isfinite(row.mean):
        parts.append(dot.format(row.colour, "", axis.place(row.mean), y, 5, f"{label}: {number(row.mean)}"))
    return Markup("").join(parts)
