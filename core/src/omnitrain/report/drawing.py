"""From stored figures of an evaluation to drawings with a heading, a legend and a caption."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from omnitrain.report.curves import chart, legend
from omnitrain.report.heatmaps import heatmap, is_wide
from omnitrain.report.images import image_grid, picture
from omnitrain.report.scatters import scatter
from omnitrain.report.texts import coloured_text

NONE = Markup("")


@dataclass(frozen=True)
class Chart:
    """A drawing with its heading and legend. wide: needs the page's whole width."""

    title: str
    drawing: Markup
    legend: Markup = NONE
    caption: str = ""
    wide: bool = False


def figures(evaluation: Mapping[str, Any], place: Path) -> Iterator[Chart]:
    """Draw the figures of a stored evaluation. place: its folder. A damaged one says so; unknown media are left out."""
    for name, figure in evaluation["figures"].items():
        try:
            drawn = _draw(name, figure, place)
        except Exception as error:  # what was stored may be anything by now
            said = Markup('<p class="soft">This figure is damaged ({}).</p>').format(type(error).__name__)
            drawn = Chart(name, said)
        if drawn is not None:
            yield drawn


def _draw(name: str, figure: Mapping[str, Any], place: Path) -> Chart | None:
    kind, caption = figure["kind"], figure["caption"]
    if kind == "curves":
        series = {key: [(_number(x), _number(y)) for x, y in points] for key, points in figure["series"].items()}
        bands = {key: [(x, low, high) for x, low, high in points] for key, points in figure["bands"].items()}
        drawing = chart(series, figure["x_label"], figure["y_label"], bands)
        return Chart(name, drawing, _series_legend(series), caption)
    if kind == "scatter":
        return Chart(name, scatter(figure), _series_legend(figure["series"]), caption)
    if kind == "heatmap":
        drawing, scale = heatmap(figure)
        return Chart(name, drawing, scale, caption, is_wide(figure))
    if kind == "text":
        drawing, roles = coloured_text(figure)
        return Chart(name, drawing, roles, caption, wide=True)
    if kind == "images":
        return Chart(name, image_grid(figure, place), NONE, caption, len(figure["images"]) > 4)
    if kind == "picture":
        shown = picture(figure, place, name)
        return None if shown is None else Chart(name, shown, NONE, caption)
    raise ValueError(kind)


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _series_legend(series: Mapping[str, Any]) -> Markup:
    return legend(list(series)) if len(series) > 1 else NONE
