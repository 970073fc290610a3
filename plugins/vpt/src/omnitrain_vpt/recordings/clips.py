"""Clips: the kept frames and actions of recordings, decoded once into mapped files, or on the way."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from omnitrain.engine import build_once
from omnitrain.errors import DataError
from omnitrain_control.episodes import EpisodeStore, EpisodeWriter
from omnitrain_control.video import Frame
from omnitrain_vpt.recordings.format import ReadingProblems, ReadingRules, Segment, Track, read_track, video_track
from omnitrain_vpt.recordings.frames import Pointer, track_frames

Frames = NDArray[np.uint8]
log = logging.getLogger(__name__)


class Clips(Protocol):
    """Kept frames of recordings. names: of the recordings. tracks: their actions, as long as the frames."""

    names: Sequence[str]
    tracks: Sequence[Track]

    def frames(self, clip: int, start: int, stop: int) -> Frames:
        """Return frames uint8[stop - start, size, size, 3] of a clip; its last one is repeated where a file is cut."""


class Reader:
    """Reads recordings as tracks and frames.

    nulls: see `Track.without_null`. max_frames: of a recording's start, None for all. strict: refuse the first broken
    recording instead of counting it.
    """

    def __init__(
        self, reading: ReadingRules, nulls: str, size: int, picture: Pointer, max_frames: int | None, strict: bool
    ) -> None:
        self.reading, self.nulls, self.size, self.picture = reading, nulls, size, picture
        self.max_frames, self.strict = max_frames, strict

    def track(self, segment: Segment, problems: ReadingProblems, labelled: bool = True) -> Track | None:
        """Return the kept frames' actions, or None for a recording that can't be used.

        Raises DataError for one that is broken, where that is not allowed.
        """
        try:
            if not labelled or segment.lines is None:
                if labelled:
                    problems.add("videos without .jsonl", str(segment.video))
                    self._refuse(f"{segment.video} has no .jsonl beside it.")
                    return None
                track = video_track(segment, problems)
            else:
                before = problems.faults
                track = read_track(segment, self.reading, problems)
                if problems.faults > before:
                    self._refuse(problems.summary())
                if self.max_frames is not None:
                    track = track.take(track.frames < self.max_frames)
                track = track.without_null(self.nulls)
        except DataError as error:
            if self.strict:
                raise
            problems.add("recordings that can't be read", str(error).rstrip("."))
            return None
        if not len(track):
            problems.add("recordings without any kept frame", str(segment.video))
            return None
        return track

    def _refuse(self, reason: str) -> None:
        if self.strict:
            raise DataError(f"{reason.rstrip('.')}. Mend it, or set reading.broken to skip.")

    def decode(self, segment: Segment, track: Track, problems: ReadingProblems) -> Frames:
        """Return the frames of a track; fewer where the video is cut.

        Raises DataError for a cut video, where that is not allowed.
        """
        found = list(track_frames(segment.video, track, self.size, self.picture))
        if len(found) < len(track):
            self.cut_short(segment, len(found), track, problems)
        return np.stack(found) if found else np.zeros((0, self.size, self.size, 3), np.uint8)

    def cut_short(self, segment: Segment, found: int, track: Track, problems: ReadingProblems) -> None:
        """Count a video that gives only the first `found` frames of its track.

        Raises DataError where that is not allowed.
        """
        problems.add("videos that are cut short", f"{segment.video}: {found} of {len(track)} frames")
        self._refuse(f"{segment.video} ends after {found} of {len(track)} frames")


def _parallel(
    segments: Sequence[Segment], threads: int, work: Callable[[Segment, ReadingProblems], tuple[Track, Frames] | None]
) -> Iterator[tuple[Segment, tuple[Track, Frames] | None, ReadingProblems]]:
    """Yield results in the order of the segments; at most a few per thread wait at a time."""
    with ThreadPoolExecutor(threads) as pool:
        for begin in range(0, len(segments), threads * 4):
            group = segments[begin : begin + threads * 4]
            kept = [ReadingProblems() for _ in group]
            yield from zip(group, pool.map(work, group, kept), kept, strict=True)


class CachedClips:
    """Clips in a folder that `build_cache` made, memory-mapped."""

    def __init__(self, folder: Path) -> None:
        self.store = EpisodeStore(folder)
        details = json.loads((folder / "details.json").read_text("utf-8"))
        self.names: Sequence[str] = details["names"]
        self.problems: str = details["problems"]
        rates: list[float] = details["rates"]
        self.tracks: Sequence[Track] = [self._track(number, rate) for number, rate in enumerate(rates)]

    def _track(self, number: int, rate: float) -> Track:
        fields = {name: np.asarray(values) for name, values in self.store.episode(number).items()}
        return Track(fields["frame"], fields["buttons"], fields["camera"], fields["raw_null"], fields["cursor"], rate)

    def frames(self, clip: int, start: int, stop: int) -> Frames:
        """Return frames of a clip."""
        offset = int(self.store.offsets[clip])
        return np.asarray(self.store.fields["images"][offset + start : offset + stop])


def build_cache(
    folder: Path, segments: Sequence[Segment], reader: Reader, threads: int, found: ReadingProblems, each: Callable[[], None]
) -> Path:
    """Decode recordings into a folder, several at the same time, unless that was done before.

    found: problems that were met before. Raises DataError when nothing is left.
    """

    def work(segment: Segment, problems: ReadingProblems) -> tuple[Track, Frames] | None:
        track = reader.track(segment, problems)
        if track is None:
            return None
        frames = reader.decode(segment, track, problems)
        return (track.take(np.arange(len(frames))), frames) if len(frames) else None

    def build(path: Path) -> None:
        names, rates, problems = [], [], ReadingProblems()
        problems.merge(found)
        with EpisodeWriter(path) as writer:
            for segment, result, own in _parallel(segments, threads, work):
                problems.merge(own)
                each()
                if result is None:
                    continue
                track, frames = result
                names.append(segment.name)
                rates.append(track.rate)
                writer.add(
                    {
                        "images": frames,
                        "frame": track.frames,
                        "buttons": track.buttons,
                        "camera": track.camera,
                        "raw_null": track.raw_null,
                        "cursor": track.cursor,
                    }
                )
        if not names:
            raise DataError(f"None of {len(segments)} recordings can be used: {problems.summary()}.")
        details = {"names": names, "rates": rates, "problems": problems.summary()}
        (path / "details.json").write_text(json.dumps(details), encoding="utf-8")

    return build_once(folder, build)


class StreamedClips:
    """Clips that are decoded while they are used: a clip that is read on goes on decoding, another position seeks.

    A video that was cut ends where it was cut; damage in its middle is found, and told, when it is reached.
    """

    def __init__(self, segments: Sequence[Segment], reader: Reader, found: ReadingProblems) -> None:
        self._reader = reader
        problems = ReadingProblems()
        problems.merge(found)
        kept = [(segment, track) for segment in segments if (track := reader.track(segment, problems)) is not None]
        if not kept:
            raise DataError(f"None of {len(segments)} recordings can be used: {problems.summary()}.")
        self._segments = [segment for segment, _ in kept]
        self.names: Sequence[str] = [segment.name for segment, _ in kept]
        self.tracks: Sequence[Track] = [track for _, track in kept]
        self.problems = problems.summary()
        self._open: dict[int, tuple[int, Iterator[Frame]]] = {}
        self._cut: set[int] = set()
        self._lock = threading.Lock()

    def frames(self, clip: int, start: int, stop: int) -> Frames:
        """Return frames of a clip."""
        with self._lock:
            position, iterator = self._open.pop(clip, (-1, iter(())))
        track = self.tracks[clip]
        if position != start:
            iterator = track_frames(self._segments[clip].video, track, self._reader.size, self._reader.picture, start)
        size = self._reader.size
        out = np.zeros((stop - start, size, size, 3), np.uint8)
        got = 0
        for got, frame in enumerate(iterator, 1):
            out[got - 1] = frame
            if got == len(out):
                break
        if got < len(out):
            self._tell_cut(clip, start + got)
            out[got:] = out[max(got, 1) - 1]
        if stop < len(track):
            with self._lock:
                self._open[clip] = (stop, iterator)
        return out

    def _tell_cut(self, clip: int, found: int) -> None:
        """Tell once that a clip gives fewer frames than are in its file: it is damaged in its middle."""
        with self._lock:
            told = clip in self._cut
            self._cut.add(clip)
        if not told:
            problems = ReadingProblems()
            self._reader.cut_short(self._segments[clip], found, self.tracks[clip], problems)
            log.warning("%s: the rest is the last frame, or black; cache: true leaves it out", problems.summary())
