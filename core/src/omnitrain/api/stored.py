"""Files that omnitrain wrote, read as what they must be: damage of any kind is told with the file and the place in it.

Every reader of a run, a product or a cache goes through here, so that none meets a pipe, a folder, bytes that are no text,
values of another shape, nesting or a number without end unprepared.
"""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnitrain.api.shapes import (
    ANY,
    DATE,
    DURATION,
    FINITE,
    NUMBER,
    TEXT,
    WHOLE,
    Each,
    Maybe,
    Pair,
    Shape,
    matching,
    misfit,
)
from omnitrain.errors import Damaged

MOST_BYTES = 2**31
MOST_LEVELS = 60
MOST_DIGITS = 300  # of a whole number that a float can hold
_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
_WORDS = ("nan", "inf", "-inf")

STAGES: Shape = {
    "stages": [{"name": matching(r"(?!\.)[^/\x00-\x1f]{1,200}", "a stage's name"), "use?": TEXT}],
    "seed?": WHOLE,
    "summary?": TEXT,
}
RUN: Shape = {
    "address": TEXT,
    "summary": TEXT,
    "fingerprint": TEXT,
    "created": DATE,
    "environment": {"packages?": Each(TEXT)},
    "recipe": STAGES,
}
FILES: Shape = Each(Pair(ANY))
_PLACE = matching(r"[^\x00]+", "a path")
STAGE: dict[str, Any] = {
    "status": matching("running|finished", "'running' or 'finished'"),
    "fingerprint?": TEXT,
    "artifacts": Each({"path": _PLACE, "kind": TEXT, "files?": FILES}),
    "seconds": DURATION,
    "code?": Each(TEXT),
    "settings?": TEXT,
    "upstream?": Each(TEXT),
    "inputs?": Each(Each(ANY)),
    "data?": Each([TEXT]),
    "counted?": [TEXT],
}
_MADE: Shape = {"path": _PLACE, "kind": TEXT, "details": Each(ANY), "files?": FILES}
OWN_STAGE: Shape = {**STAGE, "fingerprint": TEXT, "artifacts": Each(_MADE)}
COMPONENT: Shape = {"use": TEXT, "config": Each(ANY), "facts?": Each(ANY), "data?": Maybe({"use": TEXT, "config": Each(ANY)})}
EVALUATION: Shape = {
    "name?": TEXT,
    "step?": Maybe(WHOLE),
    "metrics": Each({"value": NUMBER, "n": WHOLE, "direction?": TEXT, "interval?": Maybe(Pair(NUMBER)), "unit?": TEXT}),
    "tables": Each({"columns": [TEXT], "rows": [[ANY]], "caption?": TEXT}),
    "samples": Each([{"fields": Each(ANY)}]),
    "figures?": Each({}),
}
WHOLE_EVALUATION: Shape = {
    "name": TEXT,
    "step": Maybe(WHOLE),
    "metrics": Each({"value": NUMBER, "n": WHOLE, "direction": TEXT, "interval": Maybe(Pair(NUMBER)), "unit": TEXT}),
    "tables": Each({"columns": [TEXT], "rows": [[ANY]], "caption": TEXT}),
    "samples": Each([{"fields": Each(ANY)}]),
    "figures": Each({}),
}
LINE: Shape = {"stage?": TEXT}
METRIC_LINE: Shape = {"stage": TEXT, "step": FINITE, "split?": TEXT}
TIMING_LINE: Shape = {"stage": TEXT, "step?": FINITE}
EVENT_LINE: Shape = {"stage": TEXT, "event": TEXT}


def parse(text: str) -> Any:
    """Return the value of a JSON text. Raises ValueError for anything that a reader can't handle."""
    try:
        value = _decoder.decode(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    if text.count("[") + text.count("{") > MOST_LEVELS and _levels(value) > MOST_LEVELS:
        raise ValueError(f"it is nested more than {MOST_LEVELS} levels deep")
    return _with_characters(value) if "\\ud" in text or "\\uD" in text else value


def read_bytes(path: Path) -> bytes:
    """Return what a file holds.

    Raises FileNotFoundError where there is nothing, Damaged for what is no file, is far too large or can't be read.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise Damaged(f"{path} can't be read: it is {_KINDS.get(stat.S_IFMT(found.st_mode), 'a device')}, not a file.")
        if found.st_size > MOST_BYTES:
            raise Damaged(f"{path} can't be read: it holds {found.st_size} bytes, which omnitrain never writes.")
        return path.read_bytes()
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise Damaged(f"{path} can't be read: {getattr(error, 'strerror', None) or error}.") from error


def read_text(path: Path) -> str:
    """Return the text of a file; see `read_bytes`. Raises Damaged where it is not UTF-8."""
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise Damaged(f"{path} can't be read: line {line} is not UTF-8 text.") from error


def read_plain(path: Path) -> Any:
    """Return the value of a JSON file; see `read_text`. Raises Damaged where it is not JSON."""
    text = read_text(path)
    try:
        return parse(text)
    except ValueError as error:
        raise Damaged(f"{path} can't be read: {error}.") from error


def read_as(path: Path, shape: Shape, advice: str) -> dict[str, Any]:
    """Return the mapping that a JSON file holds; see `read_plain`.

    shape: what it must look like. advice: what to do about damage, the end of the sentence.
    """
    value = read_plain(path)
    check_shape(path, value, shape, advice)
    found: dict[str, Any] = value
    return found


def check_shape(path: Path, value: Any, shape: Shape, advice: str) -> None:
    """Raise Damaged where a file's value has another shape; see `read_as`."""
    fault = misfit(value, shape)
    if fault is not None:
        raise Damaged(f"{path} is damaged; {advice} ({fault}).")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file of JSON lines. number: from 1. row: None where it is damaged; then `fault` says how."""

    number: int
    raw: bytes
    row: dict[str, Any] | None
    fault: str = ""


def read_lines(path: Path, shape: Shape = LINE) -> list[Line]:
    """Return the lines of a file of JSON lines, damaged ones too, without an end that is torn; [] where there is no file.

    Only a line feed ends a line. Torn is what a killed process or a lost power supply leaves behind the last whole line: no
    line end, or no closing brace before it.
    Raises Damaged for what is no file.
    """
    try:
        pieces = read_bytes(path).split(b"\n")
    except FileNotFoundError:
        return []
    lines = [_line(number, raw, shape) for number, raw in enumerate(pieces[:-1], 1)]
    while lines and lines[-1].row is None and not lines[-1].raw.endswith(b"}"):
        lines.pop()
    return lines


def damage_of(path: Path, lines: list[Line]) -> list[str]:
    """Return a sentence on each damaged line."""
    return [f"{path}: line {line.number} is damaged and left out ({line.fault})." for line in lines if line.row is None]


def with_numbers(row: dict[str, Any]) -> dict[str, Any]:
    """Return a line's values with "nan" and "inf" as numbers again."""
    return {key: float(value) if value in _WORDS else value for key, value in row.items()}


def _line(number: int, raw: bytes, shape: Shape) -> Line:
    try:
        row = parse(raw.decode("utf-8"))
    except UnicodeDecodeError:
        return Line(number, raw, None, "not UTF-8 text")
    except ValueError as error:
        return Line(number, raw, None, str(error))
    fault = misfit(row, shape)
    return Line(number, raw, None, fault) if fault is not None else Line(number, raw, row)


def _whole_number(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


_decoder = json.JSONDecoder(parse_int=_whole_number)


def _levels(value: Any) -> int:
    """Return how deep containers are nested, counted without recursion."""
    levels, layer = 0, [value]
    while layer := [v for v in layer if isinstance(v, (dict, list))]:
        levels += 1
        layer = [inner for v in layer for inner in (v.values() if isinstance(v, dict) else v)]
    return levels


def _with_characters(value: Any) -> Any:
    """Return plain values in which halves of pairs of UTF-16, which are no characters and can't be written, are marked."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {_with_characters(key): _with_characters(item) for key, item in value.items()}
    return [_with_characters(item) for item in value] if isinstance(value, list) else value
