"""Evaluations as files of a run: a JSON file each, images and films beside them under the digest of their content."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from omnitrain.api.figures import Drawn, Figure, Heatmap, ImageGrid, Picture, Scatter, Text
from omnitrain.api.finished import evaluation_stem
from omnitrain.api.results import Evaluation
from omnitrain.api.stored import WHOLE_EVALUATION, read_as
from omnitrain.errors import Damaged, EnvironmentFault
from omnitrain.runs.files import whole, write_whole
from omnitrain.runs.png import SIGNATURE, png

MEDIA_FOLDER = "media"
_ENDINGS = {
    "image/svg+xml": "svg",
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/gif": "gif",
    "image/webp": "webp",
    "video/mp4": "mp4",
    "video/webm": "webm",
}
_MEDIA_NAME = re.compile(r"[0-9a-f]{32}\.[a-z0-9]{1,5}")
_KINDS = {Figure: "curves", Heatmap: "heatmap", Scatter: "scatter", Text: "text", ImageGrid: "images", Picture: "picture"}

Keep = Callable[[bytes, str], str]


def write_evaluation(place: Path, name: str, step: int | None, evaluation: Evaluation) -> None:
    """Store an evaluation in the folder `place`, whole or not at all.

    Raises ValueError for an image that is neither a uint8 array nor a file of a known kind, TypeError for a cell that is
    neither text nor number, EnvironmentFault when the folder can't be written.
    """
    place.mkdir(parents=True, exist_ok=True)

    def keep(content: bytes, media_type: str) -> str:
        return _kept(place / MEDIA_FOLDER, content, media_type)

    write_whole(
        place / f"{evaluation_stem(name, step)}.json",
        _written({"name": name, "step": step, **plain_evaluation(evaluation, keep)}),
    )


def _written(content: Mapping[str, Any]) -> str:
    """Return JSON with a line per value, but for figures, whose many numbers stand in one line a figure."""
    head = json.dumps({key: value for key, value in content.items() if key != "figures"}, indent=1, ensure_ascii=False)
    lines = [f"  {json.dumps(name, ensure_ascii=False)}: {_compact(found)}" for name, found in content["figures"].items()]
    figures = "{\n" + ",\n".join(lines) + "\n }" if lines else "{}"
    return head.removesuffix("\n}") + f',\n "figures": {figures}\n}}\n'


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def plain_evaluation(evaluation: Evaluation, keep: Keep | None = None) -> dict[str, Any]:
    """Return an evaluation as plain values.

    keep: stores an image or a film of a media type and returns its name; without it these figures are left out.
    """
    files = () if keep is not None else (ImageGrid, Picture)
    return {
        "metrics": {_text(name): _plain(metric) for name, metric in evaluation.metrics.items()},
        "tables": {_text(name): _plain(table) for name, table in evaluation.tables.items()},
        "samples": {_text(name): _plain(list(samples)) for name, samples in evaluation.samples.items()},
        "figures": {_text(n): _drawn(f, keep) for n, f in evaluation.figures.items() if not isinstance(f, files)},
    }


def read_evaluation(path: Path) -> dict[str, Any]:
    """Read what `write_evaluation` stored.

    Raises EnvironmentFault when the file is missing or damaged.
    """
    try:
        found = read_as(path, WHOLE_EVALUATION, "remove it, or its stage's folder to measure again")
    except FileNotFoundError as error:
        raise EnvironmentFault(f"{path} is missing.") from error
    for name, table in found["tables"].items():
        for number, row in enumerate(table["rows"], 1):
            if len(row) < len(table["columns"]):
                raise Damaged(f"{path} is damaged: row {number} of the table {name!r} has {len(row)} cells.")
    return found


def read_media(place: Path, name: Any) -> bytes | None:
    """Return a stored image or film of the evaluations in `place`, or None when it is gone or the name is none of ours."""
    if not isinstance(name, str) or not _MEDIA_NAME.fullmatch(name):
        return None
    path = place / MEDIA_FOLDER / name
    try:
        return None if path.is_symlink() else path.read_bytes()
    except OSError:
        return None


def _kept(folder: Path, content: bytes, media_type: str) -> str:
    name = f"{hashlib.blake2b(content, digest_size=16).hexdigest()}.{_ENDINGS.get(media_type, 'bin')}"
    folder.mkdir(exist_ok=True)
    if not (folder / name).exists():
        with whole(folder / name) as temporary:
            temporary.write_bytes(content)
    return name


def _drawn(figure: Drawn, keep: Keep | None) -> dict[str, Any]:
    kind = {"kind": _KINDS[type(figure)]}
    if isinstance(figure, Picture):
        content = figure.content.encode("utf-8", "replace") if isinstance(figure.content, str) else figure.content
        stored = None if keep is None else keep(content, figure.media_type)
        return {**kind, "media_type": _text(figure.media_type), "file": stored, "caption": _text(figure.caption)}
    if isinstance(figure, ImageGrid):
        images = [] if keep is None else [_image(i, image, keep) for i, image in enumerate(figure.images)]
        return {**kind, "images": images, **{f.name: _plain(getattr(figure, f.name)) for f in fields(figure)[1:]}}
    plain = {f.name: _plain(getattr(figure, f.name)) for f in fields(figure) if f.name not in ("values", "paragraphs")}
    if isinstance(figure, Heatmap):
        plain["values"] = {_text(name): _matrix(matrix) for name, matrix in figure.panels().items()}
    if isinstance(figure, Text):
        plain["paragraphs"] = [[[_text(p.text), p.role, _cell(p.strength)] for p in pieces] for pieces in figure.paragraphs]
    return {**kind, **plain}


def _image(number: int, image: Any, keep: Keep) -> dict[str, Any]:
    if isinstance(image, bytes):
        media_type = image_type(image)
        if media_type is None:
            raise ValueError(f"image {number}: these bytes are no PNG, JPEG, GIF or WebP file")
        return {"file": keep(image, media_type), "media_type": media_type}
    shape = tuple(getattr(image, "shape", ()))
    channels = shape[2] if len(shape) == 3 else 1
    if str(getattr(image, "dtype", "")) != "uint8" or len(shape) not in (2, 3) or channels not in (1, 3, 4):
        raise ValueError(
            f"image {number}: expected a uint8 array [height, width] or [height, width, 3 or 4] or the bytes of a file, "
            f"not {getattr(image, 'dtype', type(image).__name__)} {list(shape)}"
        )
    content = png(image.tobytes(), shape[1], shape[0], channels)
    return {"file": keep(content, "image/png"), "media_type": "image/png", "width": shape[1], "height": shape[0]}


def image_type(content: bytes) -> str | None:
    """Return the media type of an image file by its first bytes, or None."""
    if content.startswith(SIGNATURE):
        return "image/png"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    return "image/webp" if content.startswith(b"RIFF") and content[8:12] == b"WEBP" else None


def _matrix(values: Any) -> list[list[float | None]]:
    """Return rows of numbers; None where one is missing or not finite."""
    rows = values.tolist() if hasattr(values, "tolist") else values
    return [[_cell(v) for v in (row.tolist() if hasattr(row, "tolist") else row)] for row in rows]


def _cell(value: Any) -> float | None:
    number = math.nan if value is None else float(value)
    return number if math.isfinite(number) else None


def _plain(value: Any) -> Any:
    """Return dataclasses, mappings, arrays and numbers of any library as what JSON knows."""
    if value is None or isinstance(value, (bool, int, float)):
        return float(value) if isinstance(value, float) else value
    if isinstance(value, str):
        return _text(value)
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {_text(str(key)): _plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    raise TypeError(f"an evaluation can't hold {type(value).__name__} {value!r:.60}; give text or numbers")


def _text(text: str) -> str:
    """Return text that can be stored: halves of pairs of UTF-16, which are no characters, become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")
