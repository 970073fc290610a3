"""Line charts as SVG text: axes, round ticks, a legend; gaps where a value is not finite."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from omnitrain.report.numbers import number

WIDTH, HEIGHT = 520.0, 260.0
LEFT, RIGHT, TOP, BOTTOM = 68.0, 14.0, 12.0, 40.0
SERIES_COLOURS = 6
HOVERED_POINTS = 240
MOST_POINTS = 1500

LARGEST, SMALLEST = 1e300, 1e-290

Points = Sequence[tuple[float, float]]


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


def chart(series: Mapping[str, Points], x_label: str, y_label: str) -> Markup:
    """Return an <svg> with one line per series; an empty y_label is left out.

    Points that are not finite are gaps; a series without a finite point appears in the legend only.
    """
    finite = [(x, y) for points in series.values() for x, y in points if _drawable(x) and _drawable(y)]
    x_axis = make_axis([x for x, _ in finite], LEFT, WIDTH - RIGHT, 5, exact=True)
    y_axis = make_axis([y for _, y in finite], HEIGHT - BOTTOM, TOP, 4)
    label = f"{', '.join(series)} against {x_label}"
    parts = [
        Markup('<svg viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">').format(WIDTH, HEIGHT, label),
        _grid(x_axis, y_axis, x_label, y_label),
    ]
    if not finite:
        parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT / 2 - 10, "no finite values", "middle"))
    for i, (name, points) in enumerate(series.items()):
        parts.append(_line(name, thinned(points), x_axis, y_axis, i % SERIES_COLOURS))
    return Markup("").join([*parts, Markup("</svg>")])


def legend(names: Sequence[str]) -> Markup:
    """Return the legend of a chart's series as HTML."""
    entries = (
        Markup('<span class="key"><i class="swatch s{}"></i>{}</span>').format(i % SERIES_COLOURS, name)
        for i, name in enumerate(names)
    )
    return Markup("").join(entries)


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


def _drawable(value: float) -> bool:
    """Whether a value is finite and small enough that the length of an axis is finite too."""
    return abs(value) <= LARGEST


def _grid(x_axis: Axis, y_axis: Axis, x_label: str, y_label: str) -> Markup:
    parts = []
    for tick in y_axis.ticks:
        y = y_axis.place(tick)
        parts.append(
            Markup('<line class="grid" x1="{:g}" x2="{:g}" y1="{:.1f}" y2="{:.1f}"/>').format(LEFT, WIDTH - RIGHT, y, y)
        )
        parts.append(_text(LEFT - 8, y + 4, tick_text(tick, y_axis.ticks), "end"))
    for tick in x_axis.ticks:
        x, foot = x_axis.place(tick), HEIGHT - BOTTOM
        parts.append(Markup('<line class="axis" x1="{:.1f}" x2="{:.1f}" y1="{:g}" y2="{:g}"/>').format(x, x, foot, foot + 4))
        parts.append(_text(x, HEIGHT - BOTTOM + 18, tick_text(tick, x_axis.ticks), "middle"))
    foot = HEIGHT - BOTTOM
    parts.append(Markup('<line class="axis" x1="{:g}" x2="{:g}" y1="{:g}" y2="{:g}"/>').format(LEFT, WIDTH - RIGHT, foot, foot))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_label, "middle", "label"))
    if y_label:
        turned = Markup('<text class="label" transform="translate(14 {:g}) rotate(-90)" text-anchor="middle">{}</text>')
        parts.append(turned.format((TOP + HEIGHT - BOTTOM) / 2, y_label))
    return Markup("").join(parts)


def tick_text(tick: float, ticks: Sequence[float]) -> str:
    """Write a tick with as many decimals as the distance between ticks needs."""
    step = abs(ticks[1] - ticks[0]) if len(ticks) > 1 else abs(tick) or 1.0
    largest = max(abs(t) for t in ticks)
    if largest >= 1e6 or 0 < largest < 1e-3:
        return number(float(f"{tick:.3g}"))
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{tick + 0.0:.{decimals}f}".replace("-", "\u2212")


def _line(name: str, points: Points, x_axis: Axis, y_axis: Axis, colour: int) -> Markup:
    """Draw the unbroken stretches of a series; a point that stands alone is a dot, a few points get dots to hover."""
    stretches: list[list[tuple[float, float, float, float]]] = [[]]
    for x, y in points:
        if _drawable(x) and _drawable(y):
            stretches[-1].append((x_axis.place(x), y_axis.place(y), x, y))
        elif stretches[-1]:
            stretches.append([])
    parts = []
    for stretch in stretches:
        if len(stretch) > 1:
            path = " ".join(f"{px:.1f},{py:.1f}" for px, py, _, _ in stretch)
            parts.append(Markup('<polyline class="line s{}" points="{}"/>').format(colour, path))
        sparse = len(points) <= 24 or len(stretch) == 1
        for px, py, x, y in stretch if len(points) <= HOVERED_POINTS or len(stretch) == 1 else ():
            dot = Markup('<circle class="dot s{}{}" cx="{:.1f}" cy="{:.1f}" r="{}"><title>{}</title></circle>')
            said = f"{name}: {number(float(y))} at {number(float(x) if x % 1 else int(x))}"
            parts.append(dot.format(colour, "" if sparse else " unseen", px, py, 2.6 if sparse else 5, said))
    return Markup("").join(parts)


def _text(x: float, y: float, text: str, anchor: str, kind: str = "tick") -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(kind, x, y, anchor, escape(text))
