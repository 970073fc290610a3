"""Coloured text as HTML: pieces with a background as strong as their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from omnitrain.report.numbers import number
from omnitrain.report.palettes import Scale, scale_legend
from omnitrain.report.svg import clean

MOST_PIECES = 6000
ROLES = ("plain", "mask", "loss", "special", "padding")

StoredPiece = tuple[str, str, float | None]


def coloured_text(figure: Mapping[str, Any]) -> tuple[Markup, Markup]:
    """Return the paragraphs and the legend of a stored text; beyond MOST_PIECES the rest is said to be left out."""
    paragraphs: list[list[StoredPiece]] = figure["paragraphs"]
    strengths = [s for pieces in paragraphs for _, _, s in pieces if s is not None]
    scale = Scale(-1.0, 1.0, 0.0) if any(s < 0 for s in strengths) else Scale(0.0, 1.0)
    drawn, left = [], MOST_PIECES
    for pieces in paragraphs:
        if left <= 0:
            break
        shown = Markup("").join(_piece(*piece, scale) for piece in pieces[:left])
        drawn.append(Markup("<p>{}</p>").format(shown))
        left -= len(pieces)
    if left < 0 or len(drawn) < len(paragraphs):
        said = f"The first {number(MOST_PIECES)} of {number(sum(len(p) for p in paragraphs))} pieces."
        drawn.append(Markup('<p class="soft">{}</p>').format(said))
    return Markup('<div class="pieces">{}</div>').format(Markup("").join(drawn)), _legend(figure, scale if strengths else None)


def _piece(text: str, role: str, strength: float | None, scale: Scale) -> Markup:
    kinds = [] if role == "plain" or role not in ROLES else [f"role-{role}"]
    if strength is None:
        if not kinds:
            return escape(clean(text))
        return Markup('<span class="{}">{}</span>').format(kinds[0], clean(text))
    if strength:
        kinds.append(f"tinted {scale.name(strength)}")
    return Markup('<span class="{}" title="{}">{}</span>').format(" ".join(kinds), number(float(strength)), clean(text))


def _legend(figure: Mapping[str, Any], scale: Scale | None) -> Markup:
    entries: Sequence[Markup] = [
        Markup('<span class="key"><span class="role-{}">{}</span></span>').format(role, clean(meaning))
        for role, meaning in figure["legend"].items()
        if role in ROLES
    ]
    strip = Markup("") if scale is None else scale_legend(scale, figure["scale"])
    return Markup("").join([strip, *entries])
