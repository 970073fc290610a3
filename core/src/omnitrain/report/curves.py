"""Line charts as SVG text: axes, round ticks, a legend; gaps where a value is not finite."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from omnitrain.report import svg
from omnitrain.report.numbers import number

WIDTH, HEIGHT = 520.0, 260.0
LEFT, RIGHT, TOP, BOTTOM = 68.0, 14.0, 12.0, 40.0
SERIES_COLOURS = 6
HOVERED_POINTS = 240
MOST_POINTS = 1500

LARGEST, SMALLEST = 1e300, 1e-290

Points = Sequence[tuple[float, float]]
Bands = Sequence[tuple[float, float, float]]


@dataclass(frozen=True)
class Axis:
    """A linear axis from `low` to `high`, drawn from `start` to `end`, with its ticks."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        """Return where a value lies in the drawing."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def holds(self, value: float) -> bool:
        """Whether a value lies on the axis, but for rounding."""
        slack = 1e-9 * (self.high - self.low)
        return self.low - slack <= value <= self.high + slack


def round_ticks(low: float, high: float, about: int) -> tuple[float, ...]:
    """Return roughly `about` multiples of 1, 2 or 5 times a power of ten that enclose the range."""
    raw = (high - low) / max(about, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1.0, 2.0, 5.0, 10.0) if m * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(i * step for i in range(first, last + 1))


def make_axis(values: Sequence[float], start: float, end: float, about: int, exact: bool = False) -> Axis:
    """Return an axis for finite values. exact: from the smallest to the largest value, else to the ticks around them."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if not high - low > max(1e-12 * max(abs(low), abs(high)), SMALLEST):
        margin = abs(low) * 0.1 if abs(low) > SMALLEST else 0.5
        low, high = low - margin, high + margin
    ticks = round_ticks(low, high, about)
    if not exact:
        low, high = ticks[0], ticks[-1]
    return Axis(low, high, start, end, tuple(t for t in ticks if low <= t <= high))


@dataclass(frozen=True)
class Axes:
    """Both axes of a drawing."""

    x: Axis
    y: Axis


def axes_of(points: Points, exact: bool) -> Axes:
    """Return axes for finite points. exact: of x from the smallest to the largest value."""
    x = make_axis([x for x, _ in points], LEFT, WIDTH - RIGHT, 5, exact=exact)
    return Axes(x, make_axis([y for _, y in points], HEIGHT - BOTTOM, TOP, 4))


def chart(series: Mapping[str, Points], x_label: str, y_label: str, bands: Mapping[str, Bands] | None = None) -> Markup:
    """Return an <svg> with one line per series; an empty y_label is left out. bands: (x, low, high) by series.

    Points that are not finite are gaps; a series without a finite point appears in the legend only.
    """
    areas = {name: [p for p in points if all(drawable(v) for v in p)] for name, points in (bands or {}).items()}
    finite = [(x, y) for points in series.values() for x, y in points if drawable(x) and drawable(y)]
    edges = [(x, y) for points in areas.values() for x, low, high in points for y in (low, high)]
    axes = axes_of(finite + edges, exact=True)
    parts = [svg.head(WIDTH, HEIGHT, f"{', '.join(series)} against {x_label}"), grid(axes, x_label, y_label)]
    if not finite:
        parts.append(svg.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT / 2 - 10, "no finite values", "middle"))
    names = list(series)
    parts += [_band(points, axes, names.index(name) % SERIES_COLOURS) for name, points in areas.items() if name in series]
    for i, (name, points) in enumerate(series.items()):
        parts.append(_line(name, thinned(points), axes, i))
    return Markup("").join([*parts, Markup("</svg>")])


def legend(names: Sequence[str]) -> Markup:
    """Return the legend of a chart's series as HTML."""
    entries = (
        Markup('<span class="key"><i class="swatch {}"></i>{}</span>').format(_kind(i), svg.clean(name))
        for i, name in enumerate(names)
    )
    return Markup("").join(entries)


def _kind(index: int) -> str:
    """Return the classes of a series: when all colours are used they begin again, with broken lines."""
    return f"s{index % SERIES_COLOURS}" + (" again" if index >= SERIES_COLOURS else "")


def thinned(points: Points) -> list[tuple[float, float]]:
    """Keep at most about MOST_POINTS points: of each stretch its smallest and largest value, so that spikes stay."""
    if len(points) <= MOST_POINTS:
        return list(points)
    size = math.ceil(len(points) / (MOST_POINTS // 2))
    kept: list[tuple[float, float]] = []
    for start in range(0, len(points), size):
        stretch = points[start : start + size]
        broken = [p for p in stretch if not math.isfinite(p[1])]
        finite = [p for p in stretch if math.isfinite(p[1])]
        ends = {min(finite, key=lambda p: p[1]), max(finite, key=lambda p: p[1])} if finite else set()
        kept += sorted([*ends, *broken[:1]], key=lambda p: p[0])
    return kept


def drawable(value: Any) -> bool:
    """Whether a value is a finite number, small enough that the length of an axis is finite too."""
    return isinstance(value, (int, float)) and abs(value) <= LARGEST


def grid(axes: Axes, x_label: str, y_label: str) -> Markup:
    """Return the lines, ticks and labels of both axes; an empty y_label is left out."""
    parts, foot = [], HEIGHT - BOTTOM
    for tick in axes.y.ticks:
        y = axes.y.place(tick)
        parts.append(svg.line("grid", LEFT, y, WIDTH - RIGHT, y))
        parts.append(svg.text(LEFT - 8, y + 4, tick_text(tick, axes.y.ticks), "end"))
    for tick in axes.x.ticks:
        x = axes.x.place(tick)
        parts.append(svg.line("axis", x, foot, x, foot + 4))
        parts.append(svg.text(x, foot + 18, tick_text(tick, axes.x.ticks), "middle"))
    parts.append(svg.line("axis", LEFT, foot, WIDTH - RIGHT, foot))
    parts.append(svg.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_label, "middle", "label"))
    if y_label:
        parts.append(svg.turned(14, (TOP + HEIGHT - BOTTOM) / 2, -90, y_label, "middle", "label"))
    return Markup("").join(parts)


def tick_text(tick: float, ticks: Sequence[float]) -> str:
    """Write a tick with as many decimals as the distance between ticks needs."""
    step = abs(ticks[1] - ticks[0]) if len(ticks) > 1 else abs(tick) or 1.0
    largest = max(abs(t) for t in ticks)
    if largest >= 1e6 or 0 < largest < 1e-3:
        return number(float(f"{tick:.3g}"))
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{tick + 0.0:.{decimals}f}".replace("-", "\u2212")


def _line(name: str, points: Points, axes: Axes, index: int) -> Markup:
    """Draw the unbroken stretches of a series; a point that stands alone is a dot, a few points get dots to hover."""
    stretches: list[list[tuple[float, float, float, float]]] = [[]]
    for x, y in points:
        if drawable(x) and drawable(y):
            stretches[-1].append((axes.x.place(x), axes.y.place(y), x, y))
        elif stretches[-1]:
            stretches.append([])
    parts = []
    for stretch in stretches:
        if len(stretch) > 1:
            path = " ".join(f"{px:.1f},{py:.1f}" for px, py, _, _ in stretch)
            parts.append(Markup('<polyline class="line {}" points="{}"/>').format(_kind(index), path))
        sparse = len(points) <= 24 or len(stretch) == 1
        for px, py, x, y in stretch if len(points) <= HOVERED_POINTS or len(stretch) == 1 else ():
            dot = Markup('<circle class="dot s{}{}" cx="{:.1f}" cy="{:.1f}" r="{}"><title>{}</title></circle>')
            said = f"{name}: {number(float(y))} at {number(float(x) if x % 1 else int(x))}"
            kind, radius = ("", 2.6) if sparse else (" unseen", 5)
            parts.append(dot.format(index % SERIES_COLOURS, kind, px, py, radius, svg.clean(said)))
    return Markup("").join(parts)


def _band(points: Bands, axes: Axes, colour: int) -> Markup:
    """Draw the area between the low and the high values of a series."""
    if len(points) < 2:
        return Markup("")
    ends = [(x, high) for x, _, high in points] + [(x, low) for x, low, _ in reversed(points)]
    path = " ".join(f"{axes.x.place(x):.1f},{axes.y.place(y):.1f}" for x, y in ends)
    return Markup('<polygon class="band s{}" points="{}"/>').format(colour, path)
