"""Graphons as images and correlations as scatter plots, without a plotting library."""

from __future__ import annotations

import html
import struct
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from omnitrain.api import Picture
from omnitrain_w2pgnn.graphs.structure import Floats

TILE, GAP = 160, 8
# Dark blue over green to yellow, by position on [0, 1].
STOPS = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
COLOURS = np.array([[48, 18, 94], [46, 94, 142], [38, 148, 132], [122, 204, 78], [250, 232, 54]], np.float64)
SERIES = ("#1f5fa8", "#c2521b", "#2a8a4a", "#8a3fa0", "#a88a1f", "#3f8a8a")


def _coloured(values: Floats) -> np.ndarray:
    return np.stack([np.interp(values, STOPS, COLOURS[:, c]) for c in range(3)], axis=-1).astype(np.uint8)


def _png(pixels: np.ndarray) -> bytes:
    """Return uint8[height, width, 3] as a PNG file."""
    height, width, _ = pixels.shape
    raw = b"".join(b"\x00" + row.tobytes() for row in pixels)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")


def graphon_strip(graphons: Mapping[str, Floats], caption: str) -> Picture:
    """Return graphons side by side on one scale, from 0 to the largest value (dark to bright), rows in wraps of six."""
    largest = max((float(g.max()) for g in graphons.values()), default=0.0)
    columns = min(len(graphons), 6)
    rows = -(-len(graphons) // max(columns, 1))
    canvas = np.full((rows * (TILE + GAP) - GAP, columns * (TILE + GAP) - GAP, 3), 255, np.uint8)
    for number, graphon in enumerate(graphons.values()):
        place = (np.arange(TILE) * len(graphon)) // TILE
        tile = _coloured(graphon[np.ix_(place, place)] / largest if largest > 0 else np.zeros((TILE, TILE)))
        top, left = (number // columns) * (TILE + GAP), (number % columns) * (TILE + GAP)
        canvas[top : top + TILE, left : left + TILE] = tile
    named = ", ".join(f"{name} (mean {float(g.mean()):.3f})" for name, g in graphons.items())
    return Picture(_png(canvas), "image/png", f"{caption} From left to right: {named}. Colours run from 0 to {largest:.2f}.")


def scatter(points: Mapping[str, Sequence[tuple[float, float]]], x_label: str, y_label: str, caption: str) -> Picture:
    """Return a scatter plot as SVG, a colour for each series."""
    width, height, left, bottom = 520, 340, 62, 46
    flat = [p for series in points.values() for p in series if all(np.isfinite(p))]
    if not flat:
        return Picture(
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="40"></svg>', caption=f"{caption} No points."
        )
    low_x, high_x = _range([x for x, _ in flat])
    low_y, high_y = _range([y for _, y in flat])

    def at(x: float, y: float) -> tuple[float, float]:
        across = left + (x - low_x) / (high_x - low_x) * (width - left - 16)
        return across, height - bottom - (y - low_y) / (high_y - low_y) * (height - bottom - 34)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" font-family="sans-serif">'
    ]
    parts.append(f'<path d="M{left} 24V{height - bottom}H{width - 10}" fill="none" stroke="#888"/>')
    for value, anchor in ((low_x, "start"), (high_x, "end")):
        parts.append(
            f'<text x="{at(value, low_y)[0]:.0f}" y="{height - 28}" font-size="11" text-anchor="{anchor}">{value:.3g}</text>'
        )
    for value in (low_y, high_y):
        parts.append(
            f'<text x="{left - 6}" y="{at(low_x, value)[1] + 4:.0f}" font-size="11" text-anchor="end">{value:.3g}</text>'
        )
    parts.append(f'<text x="{width / 2}" y="{height - 8}" font-size="12" text-anchor="middle">{html.escape(x_label)}</text>')
    parts.append(f'<text x="{left}" y="14" font-size="12">{html.escape(y_label)}</text>')
    for number, (name, series) in enumerate(points.items()):
        colour = SERIES[number % len(SERIES)]
        for x, y in series:
            if np.isfinite(x) and np.isfinite(y):
                cx, cy = at(x, y)
                parts.append(f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="4" fill="{colour}" fill-opacity="0.75"/>')
        parts.append(f'<text x="{width - 16}" y="{30 + 15 * number}" font-size="12" text-anchor="end" fill="{colour}">')
        parts.append(f"{html.escape(name)}</text>")
    return Picture("".join([*parts, "</svg>"]), caption=caption)


def _range(values: list[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = (high - low) * 0.06 or max(abs(high), 1.0) * 0.05
    return low - room, high + room
