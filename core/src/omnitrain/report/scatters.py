"""Scatter plots as SVG text; where points are many, those that would cover each other are drawn once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from omnitrain.report import svg
from omnitrain.report.curves import HEIGHT, SERIES_COLOURS, WIDTH, Axes, axes_of, drawable, grid
from omnitrain.report.numbers import number

# With more points a series is one path without texts to hover.
HOVERED_POINTS = 1500
# Points that fall into one square of this side cover each other.
SQUARE = 2.5
LABELLED_POINTS = 40

Points = Sequence[tuple[float, float]]


def scatter(figure: Mapping[str, Any]) -> Markup:
    """Return the drawing of a stored scatter plot."""
    series = {name: [(x, y) for x, y in points] for name, points in figure["series"].items()}
    finite = [(x, y) for points in series.values() for x, y in points if drawable(x) and drawable(y)]
    axes = axes_of(finite, exact=False)
    label = f"{number(len(finite))} points, {figure['y_label']} against {figure['x_label']}: {', '.join(series)}"
    parts = [svg.head(WIDTH, HEIGHT, label, "scatter"), grid(axes, figure["x_label"], figure["y_label"])]
    if figure["line"] is not None:
        parts.append(_straight(axes, *figure["line"]))
    if not finite:
        parts.append(svg.text(WIDTH / 2, HEIGHT / 2 - 10, "no finite values", "middle"))
    for i, (name, points) in enumerate(series.items()):
        if len(finite) > HOVERED_POINTS:
            parts.append(_cloud(points, axes, i % SERIES_COLOURS))
        else:
            labels = figure["labels"].get(name, ())
            parts.append(_dots(name, points, labels, axes, i % SERIES_COLOURS, len(finite) <= LABELLED_POINTS))
    return Markup("").join([*parts, Markup("</svg>")])


def _dots(name: str, points: Points, labels: Sequence[str], axes: Axes, colour: int, written: bool) -> Markup:
    parts = []
    dot = Markup('<circle class="dot s{}" cx="{:.1f}" cy="{:.1f}" r="3.5"><title>{}</title></circle>')
    for i, (x, y) in enumerate(points):
        if not (drawable(x) and drawable(y)):
            continue
        label = labels[i] if i < len(labels) else ""
        said = f"{label or name}: {number(float(y))} at {number(float(x))}"
        px, py = axes.x.place(x), axes.y.place(y)
        parts.append(dot.format(colour, px, py, svg.clean(said)))
        if label and written:
            ends = px > WIDTH * 0.75
            parts.append(svg.text(px - 6 if ends else px + 6, py - 5, svg.shortened(label, 24), "end" if ends else "start"))
    return Markup("").join(parts)


def _cloud(points: Points, axes: Axes, colour: int) -> Markup:
    """Draw points as lines of no length with round ends, one for each square that holds any."""
    squares = {
        (round(axes.x.place(x) / SQUARE), round(axes.y.place(y) / SQUARE)): None
        for x, y in points
        if drawable(x) and drawable(y)
    }
    path = "".join(f"M{px * SQUARE:g} {py * SQUARE:g}h0" for px, py in squares)
    return Markup('<path class="cloud s{}" d="{}"/>').format(colour, path)


def _straight(axes: Axes, slope: float, intercept: float) -> Markup:
    """Draw the part of a line that lies between the axes."""
    ends = [axes.x.low, axes.x.high]
    if slope:
        ends += [(axes.y.low - intercept) / slope, (axes.y.high - intercept) / slope]
    within = sorted(x for x in ends if axes.x.low <= x <= axes.x.high and axes.y.holds(slope * x + intercept))
    if len(within) < 2:
        return Markup("")
    x1, x2 = within[0], within[-1]
    y1, y2 = (axes.y.place(slope * x + intercept) for x in (x1, x2))
    return svg.line("reference", axes.x.place(x1), y1, axes.x.place(x2), y2)
