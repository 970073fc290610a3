"""Dot plots as SVG text: one row per item, one dot per series, to compare paired numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from omnitrain.report import svg
from omnitrain.report.curves import LEFT, RIGHT, SERIES_COLOURS, WIDTH, Axis, make_axis, tick_text
from omnitrain.report.numbers import number

ROW, HEAD, FOOT = 26.0, 10.0, 40.0

Row = tuple[str, Mapping[str, float]]


def dot_plot(rows: Sequence[Row], x_label: str) -> Markup:
    """Return an <svg> with a row per label and a dot per series, the dots of a row joined; values that are not finite
    are left out.
    """
    names = list(dict.fromkeys(name for _, values in rows for name in values))
    finite = [v for _, values in rows for v in values.values() if math.isfinite(v)]
    axis = make_axis(finite, LEFT + 10, WIDTH - RIGHT - 10, 5)
    height = HEAD + ROW * len(rows) + FOOT
    head = Markup('<svg viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">').format(
        WIDTH, height, f"{', '.join(names)} by seed"
    )
    parts = [head, _axis(axis, height, x_label)]
    for i, (label, values) in enumerate(rows):
        parts.append(_row(label, values, HEAD + ROW * (i + 0.5), names, axis))
    return Markup("").join([*parts, Markup("</svg>")])


def _axis(axis: Axis, height: float, label: str) -> Markup:
    bottom = height - FOOT
    line = Markup('<line class="{}" x1="{:.1f}" x2="{:.1f}" y1="{:g}" y2="{:g}"/>')
    parts = [line.format("axis", LEFT, WIDTH - RIGHT, bottom, bottom)]
    for tick in axis.ticks:
        x = axis.place(tick)
        parts.append(line.format("grid", x, x, HEAD, bottom))
        parts.append(svg.text(x, bottom + 18, tick_text(tick, axis.ticks), "middle"))
    parts.append(svg.text((LEFT + WIDTH - RIGHT) / 2, height - 6, label, "middle", "label"))
    return Markup("").join(parts)


def _row(label: str, values: Mapping[str, float], y: float, names: Sequence[str], axis: Axis) -> Markup:
    shown = {name: v for name, v in values.items() if math.isfinite(v)}
    parts = [svg.text(LEFT - 8, y + 4, label, "end", "tick")]
    if len(shown) > 1:
        ends = [axis.place(v) for v in shown.values()]
        line = Markup('<line class="axis" x1="{:.1f}" x2="{:.1f}" y1="{:g}" y2="{:g}"/>')
        parts.append(line.format(min(ends), max(ends), y, y))
    dot = Markup('<circle class="dot s{}" cx="{:.1f}" cy="{:g}" r="5"><title>{}</title></circle>')
    for name, value in shown.items():
        said = f"{name}, {label}: {number(value)}"
        parts.append(dot.format(names.index(name) % SERIES_COLOURS, axis.place(value), y, said))
    return Markup("").join(parts)
