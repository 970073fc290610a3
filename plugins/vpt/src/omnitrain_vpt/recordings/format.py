"""Recordings in the contractor format: where they are, what their lines say, and how they are written (app. B, E)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnitrain.api import read_text, reading
from omnitrain.engine import whole, write_whole
from omnitrain.errors import DataError
from omnitrain_control.problems import Problems
from omnitrain_control.video import VideoFacts, probe_video, write_video
from omnitrain_vpt.paper.actions import CAMERA, is_null, to_joint
from omnitrain_vpt.paper.minecraft import BUTTONS, Action, SequenceRules, checked_line, gui_factor, unknown_keys

RATE = 20
VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".m4v", ".avi")
"""What files of video end with, in small or capital letters."""
SUFFIXES = (*VIDEO_SUFFIXES, ".jsonl", "-options.json")
"""What a recording's files end with."""
UNKNOWN_KEYS = "unknown keys"
LOSSES = "videos whose pictures lose something"
_VERSION = re.compile(r"^\d+\.\d+$")


class ReadingProblems(Problems):
    """What was wrong with recordings."""

    told = frozenset({UNKNOWN_KEYS, LOSSES})


@dataclass(frozen=True)
class Segment:
    """One recording. name: its path below the base without suffix. lines: the .jsonl, None for unlabelled video."""

    name: str
    video: Path
    lines: Path | None

    @property
    def version(self) -> str:
        """The recorder's version ("8.0"): the folder that the recording lies in, else ""."""
        parts = [part for part in Path(self.name).parts[:-1] if _VERSION.match(part)]
        return parts[-1] if parts else ""


def find_segments(path: Path, base: Path | None, problems: ReadingProblems) -> list[Segment]:
    """Return the recordings of a folder (all video below it) or of an index file, sorted by name.

    base: where the paths of an index file begin; by default the index file's folder, since its own "basedir" is an address.
    Hidden files and folders are left out, as are what archives of macOS add. Raises DataError for a path that is missing, an
    index file of another form, two videos of one name, or no recording at all.
    """
    if path.is_dir():
        root, videos = path, _videos_below(path)
    elif path.is_file():
        root = base if base is not None else path.parent
        videos = _index_videos(path)
    else:
        raise DataError(f"{path} is missing; expected a folder with video ({_KNOWN}) or an index file.")
    found: dict[str, Segment] = {}
    for relative in videos:
        video, name = root / relative, str(relative.with_suffix(""))
        if root.resolve() not in video.resolve().parents:
            raise DataError(f"{path} names {str(relative)!r}, which lies outside {root}.")
        if not video.is_file():
            problems.add("missing videos", str(video))
        elif name in found:
            raise DataError(f"{found[name].video} and {video} have one name, by which recordings are told apart: rename one.")
        else:
            found[name] = Segment(name, video, _lines_beside(video))
    if not found:
        which = " of the index" if path.is_file() else ""
        raise DataError(f"{path} holds no recordings: there is no file{which} that ends with {_KNOWN}.")
    return [found[name] for name in sorted(found)]


_KNOWN = ", ".join(VIDEO_SUFFIXES)


def _videos_below(folder: Path) -> list[Path]:
    inside = (path.relative_to(folder) for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    return sorted(path for path in inside if not any(part.startswith((".", "__MACOSX")) for part in path.parts))


def _lines_beside(video: Path) -> Path | None:
    candidates = (video.with_suffix(suffix) for suffix in (".jsonl", ".JSONL"))
    return next((path for path in candidates if path.is_file()), None)


def _index_videos(path: Path) -> list[Path]:
    """Return the videos that an index file names; one without a known ending is an .mp4."""
    with reading(path, 'an index file: {"basedir": ..., "relpaths": [...]}'):
        named = [Path(str(name)) for name in json.loads(read_text(path))["relpaths"]]
        return sorted(p if p.suffix.lower() in VIDEO_SUFFIXES else p.with_name(f"{p.name}.mp4") for p in named)


def read_lines(path: Path, problems: ReadingProblems) -> list[Mapping[str, Any] | None]:
    """Return the parsed lines of a .jsonl, None for one that is broken: its frame is still consumed.

    Blank lines at the end are no lines. Raises DataError when the file can't be read or is empty.
    """
    try:
        texts = path.read_text(encoding="utf-8-sig", errors="replace").split("\n")
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}.") from error
    while texts and not texts[-1].strip():
        texts.pop()
    if not texts:
        raise DataError(f"{path} is empty; expected one JSON object per frame.")
    lines: list[Mapping[str, Any] | None] = []
    for number, text in enumerate(texts, 1):
        try:
            lines.append(checked_line(json.loads(text)))
        except (ValueError, RecursionError) as error:
            broken = "lines that are no JSON" if isinstance(error, json.JSONDecodeError) else "malformed lines"
            problems.add(broken if text.strip() else "empty lines", f"{path}:{number}")
            lines.append(None)
    return lines


def kept_lines(
    lines: Iterable[Mapping[str, Any] | None],
    rules: SequenceRules,
    problems: ReadingProblems | None = None,
    path: str = "",
) -> Iterator[tuple[int, Action]]:
    """Yield (frame number, action) of every well-formed line, null actions included.

    problems: takes malformed lines, and each unknown key where it is first held.
    """
    known: set[str] = set()
    for number, line in enumerate(lines):
        if line is None:
            continue
        try:
            action = rules(line)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            if problems is not None:
                problems.add("malformed lines", f"{path}:{number + 1}")
            continue
        if problems is not None:
            for key in sorted(unknown_keys(line) - known):
                known.add(key)
                problems.add(UNKNOWN_KEYS, f"{path}:{number + 1} {key}")
        yield number, action


@dataclass(frozen=True)
class Track:
    """The actions of one recording, frame by frame.

    frames: number of each kept frame in the video, int64[n]. buttons: uint8[n, 20]. camera: degrees float32[n, 2], pitch
    and yaw. raw_null: no activity before quantisation, bool[n]. cursor: pointer (x, y) of a 720 pixel high window where a
    GUI is open, else -1, float32[n, 2]. rate: frames a second of the video, on average.
    """

    frames: NDArray[np.int64]
    buttons: NDArray[np.uint8]
    camera: NDArray[np.float32]
    raw_null: NDArray[np.bool_]
    cursor: NDArray[np.float32]
    rate: float = RATE

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def bins(self) -> NDArray[np.int64]:
        """Camera bins int64[n, 2]."""
        return CAMERA.encode(self.camera)

    @property
    def joint(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Joint actions (buttons, camera), int64[n] each."""
        return to_joint(self.buttons, self.bins)

    def take(self, rows: NDArray[Any]) -> Track:
        """Return some of the frames, by index or mask."""
        return Track(
            self.frames[rows], self.buttons[rows], self.camera[rows], self.raw_null[rows], self.cursor[rows], self.rate
        )

    def without_null(self, rule: str) -> Track:
        """Drop null actions. rule: "quantised" (after quantisation, as in the paper), "raw" (the line only), or "keep"."""
        if rule == "keep":
            return self
        dropped = self.raw_null
        if rule == "quantised":
            dropped = dropped | is_null(self.buttons, self.bins)
        return self.take(~dropped)


@dataclass(frozen=True)
class ReadingRules:
    """How lines become actions; see `SequenceRules`. gui_factors: apply the recorder version's factor."""

    escape_closes_inventory: bool = True
    legacy_int_camera: bool = False
    gui_factors: bool = True


def read_track(segment: Segment, reading: ReadingRules, problems: ReadingProblems) -> Track:
    """Return the actions of a labelled recording, as far as the video has frames by its header and its length.

    Raises DataError when the recording has no lines or can't be opened.
    """
    if segment.lines is None:
        raise DataError(f"{segment.video} has no {segment.video.stem}.jsonl beside it.")
    lines = read_lines(segment.lines, problems)
    factor = gui_factor(segment.version) if reading.gui_factors else 1.0
    rules = SequenceRules(reading.escape_closes_inventory, reading.legacy_int_camera, factor)
    facts = probe_video(segment.video)
    frames = facts.frames
    tell_losses(segment, facts, problems)
    kept = list(kept_lines(lines, rules, problems, str(segment.lines)))
    if frames and frames != len(lines):
        problems.add("recordings with another number of frames than of lines", f"{segment.video}: {frames}, {len(lines)}")
    if facts.held < frames:
        problems.add("videos that are cut short", f"{segment.video}: {facts.held} of {frames} frames")
    kept = [(number, action) for number, action in kept if not frames or number < facts.held]
    numbers = np.array([number for number, _ in kept], np.int64)
    cursor = [_cursor(lines[number]) for number in numbers]
    return Track(
        numbers,
        np.stack([a.buttons() for _, a in kept]) if kept else np.zeros((0, len(BUTTONS)), np.uint8),
        np.array([a.camera for _, a in kept], np.float32).reshape(-1, 2),
        np.array([a.null for _, a in kept], bool),
        np.array(cursor, np.float32).reshape(-1, 2),
        facts.rate or RATE,
    )


def tell_losses(segment: Segment, facts: VideoFacts, problems: ReadingProblems) -> None:
    """Tell what a video's pictures lose when they are read."""
    for note in facts.notes:
        problems.add(LOSSES, f"{segment.video}: {note}")


def _cursor(line: Mapping[str, Any] | None) -> tuple[float, float]:
    if line is None or not line.get("isGuiOpen", False):
        return -1.0, -1.0
    x, y = line["mouse"].get("x"), line["mouse"].get("y")
    return (float(x), float(y)) if isinstance(x, (int, float)) and isinstance(y, (int, float)) else (-1.0, -1.0)


def video_track(segment: Segment, problems: ReadingProblems | None = None) -> Track:
    """Return an unlabelled video as a track without actions. problems: takes what its pictures lose."""
    facts = probe_video(segment.video)
    count = facts.frames
    if problems is not None:
        tell_losses(segment, facts, problems)
    return Track(
        np.arange(count), np.zeros((count, len(BUTTONS)), np.uint8), np.zeros((count, 2), np.float32),
        np.ones(count, bool), np.full((count, 2), -1.0, np.float32), facts.rate or RATE,
    )  # fmt: skip


def write_segment(
    folder: Path, name: str, frames: NDArray[np.uint8], lines: Sequence[Mapping[str, Any]] | None, **options: Any
) -> None:
    """Write a recording, each of its files whole: jsonl (none for lines None), options, mp4.

    name: relative, "8.0/alias-session". frames: uint8[n, h, w, 3], RGB.
    """
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    if lines is not None:
        write_lines(folder / f"{name}.jsonl", lines)
    write_whole(folder / f"{name}-options.json", json.dumps(options))
    with whole(folder / f"{name}.mp4") as path:
        write_video(path, frames, RATE)


def write_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write a .jsonl with one object a line."""
    write_whole(path, "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))


def write_index(folder: Path, names: Sequence[str]) -> None:
    """Write an index file beside the recordings. names: of their videos below the folder; one without an ending is an .mp4."""
    write_whole(folder / "index.json", json.dumps({"basedir": "", "relpaths": sorted(names)}, indent=1))
