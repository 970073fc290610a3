"""Images and films as HTML with the content inside the page, so that nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from omnitrain.report.numbers import number
from omnitrain.report.svg import clean
from omnitrain.runs.evaluations import MEDIA_FOLDER, read_media

SHOWN_MEDIA = ("image/svg+xml", "image/png", "image/jpeg", "image/gif", "image/webp", "video/mp4", "video/webm")
# A page that is mailed or opened on a telephone must not hold more of one figure.
MOST_BYTES = 12_000_000
MOST_IMAGES = 240
# Smaller images are shown larger, pixel by pixel.
SMALL = 128


def image_grid(figure: Mapping[str, Any], place: Path) -> Markup:
    """Return the images of a stored grid. place: the folder of its evaluation."""
    columns: int | None = figure["columns"]
    cells: list[Markup] = []
    left = MOST_BYTES
    for i, image in enumerate(figure["images"][:MOST_IMAGES]):
        content = read_media(place, image["file"])
        left -= len(content or b"")
        if left < 0:
            break
        if figure["rows"] and columns and i % columns == 0:
            cells.append(Markup('<div class="row-name">{}</div>').format(clean(figure["rows"][i // columns])))
        caption = figure["captions"][i] if figure["captions"] else ""
        cells.append(_cell(image, content, caption, f"image {i + 1}"))
    named = "auto " if figure["rows"] else ""
    style = f"grid-template-columns: {named}repeat({columns}, minmax(0, 1fr))" if columns else ""
    grid = Markup('<div class="images" style="{}">{}</div>').format(style, Markup("").join(cells))
    shown, total = sum("<figure" in cell for cell in cells), len(figure["images"])
    if shown == total:
        return grid
    said = (
        f"The first {number(shown)} of {number(total)} images; all are in the run directory below {place.name}/{MEDIA_FOLDER}."
    )
    return grid + Markup('<p class="soft small">{}</p>').format(said)


def _cell(image: Mapping[str, Any], content: bytes | None, caption: str, name: str) -> Markup:
    if content is None or image["media_type"] not in SHOWN_MEDIA:
        drawn = Markup('<span class="soft small">missing</span>')
    else:
        small = max(image.get("width", SMALL), image.get("height", SMALL)) < SMALL
        tag = Markup('<img class="{}" alt="{}" src="{}">')
        drawn = tag.format("small-image" if small else "", clean(caption or name), _address(content, image["media_type"]))
    said = Markup("<figcaption>{}</figcaption>").format(clean(caption)) if caption else Markup("")
    return Markup("<figure>{}{}</figure>").format(drawn, said)


def picture(figure: Mapping[str, Any], place: Path, name: str) -> Markup | None:
    """Return a stored picture or film, or None for a kind that pages don't show. name: for those who can't see it."""
    if figure["media_type"] not in SHOWN_MEDIA:
        return None
    content = read_media(place, figure["file"])
    if content is None:
        return Markup('<p class="soft">The file of this picture is missing.</p>')
    if len(content) > MOST_BYTES:
        said = f"{number(len(content))} bytes, too many for this page: {place.name}/{MEDIA_FOLDER}/{figure['file']}"
        return Markup('<p class="soft">{}</p>').format(said)
    address = _address(content, figure["media_type"])
    if figure["media_type"].startswith("video/"):
        return Markup('<video controls aria-label="{}" src="{}"></video>').format(clean(name), address)
    return Markup('<img alt="{}" src="{}">').format(clean(figure["caption"] or name), address)


def _address(content: bytes, media_type: str) -> str:
    """Return a data address: in an image of one, neither scripts nor links work."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
