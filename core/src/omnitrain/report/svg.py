"""Pieces of SVG text that all drawings share, and text without characters that documents can't hold."""

from __future__ import annotations

import re

from markupsafe import Markup

# What neither XML nor HTML may hold, escaped or not.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")


def clean(text: str) -> str:
    """Return text with a replacement character for each that no document may hold; Markup stays Markup."""
    return type(text)(_FORBIDDEN.sub("\ufffd", str(text))) if _FORBIDDEN.search(text) else text


def head(width: float, height: float, label: str, kind: str = "") -> Markup:
    """Return the opening tag of a drawing. label: what it shows, for those who can't see it."""
    return Markup('<svg class="{}" viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">').format(
        kind, width, height, clean(label)
    )


def line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    """Return a straight line."""
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(kind, x1, y1, x2, y2)


def text(x: float, y: float, said: str, anchor: str, kind: str = "tick") -> Markup:
    """Return horizontal text. anchor: "start", "middle" or "end"."""
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(kind, x, y, anchor, clean(said))


def turned(x: float, y: float, degrees: float, said: str, anchor: str, kind: str = "tick") -> Markup:
    """Return text turned around its anchor."""
    found = Markup('<text class="{}" transform="translate({:.1f} {:.1f}) rotate({:g})" text-anchor="{}">{}</text>')
    return found.format(kind, x, y, degrees, anchor, clean(said))


def shortened(said: str, most: int) -> str:
    """Return text of at most so many characters."""
    return said if len(said) <= most else said[: most - 1] + "\u2026"
