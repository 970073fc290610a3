"""Which frame of a video file has which number: an index by one pass over its packets, which are counted, not decoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from heapq import heappop, heappush
from itertools import takewhile
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

# Frames that are never shown have packets of their own there, so that packets don't tell the number of frames.
_HIDING_CODECS = {"vp8"}
# A packet of so few bytes may say there that the last frame is shown again, and gives none.
_REPEATING_CODECS = {"mpeg4", "msmpeg4v2", "msmpeg4v3"}
_REPEATED_BYTES = 16
_STEADY = 0.1


@dataclass(frozen=True)
class KeyFrame:
    """Where decoding may begin. number: of the frame. time: its pts. place: where a seek finds it."""

    number: int
    time: int
    place: int


@dataclass(frozen=True)
class FrameIndex:
    """What the packets of a file tell.

    frames: how many are shown. keys: their key frames. rate: frames a second between the first and the last. steady: all are
    equally far apart. end_s: when the last one ends, after the stream's origin. longest_s: between two of them.
    """

    frames: int
    keys: tuple[KeyFrame, ...]
    rate: float
    steady: bool
    end_s: float
    longest_s: float

    def key_before(self, number: int) -> KeyFrame:
        """Return the last key frame at or before a frame."""
        numbers = [key.number for key in self.keys]
        return self.keys[max(int(np.searchsorted(numbers, number, "right")) - 1, 0)]


class ShownOrder:
    """Follows packets and frames of one file: pts in, pts out, in the order in which frames are shown.

    reliable: packets and frames correspond one to one, so that frames may be numbered by their packets.
    """

    def __init__(self, stream: VideoStream, begin: int | None = None) -> None:
        self.reliable = stream.codec_context.name not in _HIDING_CODECS
        self.begin = begin
        self._waiting: list[int] = []
        self._last: int | None = None

    def takes(self, packet: av.Packet[Any]) -> bool:
        """Take note of a packet; return whether it holds a frame that counts.

        What comes before the first key frame can't be decoded, and what is shown before it belongs to what is missing there.
        """
        if packet.size == 0:
            return False
        codec = packet.stream.codec_context.name
        if packet.pts is None or (codec in _REPEATING_CODECS and packet.size < _REPEATED_BYTES):
            self.reliable = False
            return True
        if self.begin is None:
            if not packet.is_keyframe:
                return False
            self.begin = packet.pts
        if packet.is_discard or packet.pts < self.begin:
            return False
        heappush(self._waiting, packet.pts)
        return True

    def follows(self, frame: av.VideoFrame) -> bool | None:
        """Tell whether a frame is the next one: None for one that does not count, False where another one is missing."""
        if not self.reliable:
            return True
        if frame.pts is None or frame.pts == self._last:
            self.reliable = False
            return True
        if self.begin is not None and frame.pts < self.begin:
            return None
        # Two packets of one time are the halves of an interlaced frame, or nothing that can be told apart.
        if not self._waiting or self._waiting[0] > frame.pts or self._waiting[0] == self._last:
            self.reliable = False
            return True
        # Of the first frames those that can't be decoded are none.
        while self._last is None and self._waiting[0] < frame.pts:
            heappop(self._waiting)
        if self._waiting[0] != frame.pts:
            return False
        self._last = heappop(self._waiting)
        return True


def video_stream(container: InputContainer) -> VideoStream | None:
    """Return the stream of a file that is its video and not the cover of a piece of music."""
    found = container.streams.best("video")
    # Of a damaged file PyAV may name a stream that it can't give packets of.
    return found if isinstance(found, VideoStream) and found.index < len(container.streams) else None


def frame_index(path: Path) -> FrameIndex | None:
    """Return the index of a video file, made once for its content; None where packets don't tell the number of frames.

    Raises what PyAV raises for a file that can't be opened.
    """
    stat = path.stat()
    return _made(str(path), stat.st_size, stat.st_mtime_ns, stat.st_ino)


def frame_times(container: InputContainer, stream: VideoStream) -> NDArray[np.float64] | None:
    """Return the seconds at which frames are shown, ascending; None where packets don't tell it."""
    read = _read(container, stream)
    if read is None or not stream.time_base:
        return None
    return np.asarray(np.sort(np.array(read.times, np.int64)) * float(stream.time_base), np.float64)


@lru_cache(maxsize=8192)
def _made(path: str, size: int, changed: int, inode: int) -> FrameIndex | None:
    with av.open(path) as container:
        stream = video_stream(container)
        read = None if stream is None else _read(container, stream)
        return None if stream is None or read is None else _index(stream, read)


@dataclass
class _Read:
    """Times of the frames in the order of packets, (time, place) of the key frames, and when the last one ends."""

    times: list[int] = field(default_factory=list)
    keys: list[tuple[int, int]] = field(default_factory=list)
    end: int = 0


def _read(container: InputContainer, stream: VideoStream) -> _Read | None:
    order, found = ShownOrder(stream), _Read()
    for packet in _packets(container, stream):
        counts = order.takes(packet)
        if not order.reliable:
            return None
        if counts and packet.pts is not None:
            found.times.append(packet.pts)
            found.end = max(found.end, packet.pts + (packet.duration or 0))
            if packet.is_keyframe:
                found.keys.append((packet.pts, packet.pts if packet.dts is None else min(packet.pts, packet.dts)))
    return found


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[av.Packet[Any]]:
    """Yield the packets of a file before the first broken one."""
    try:
        yield from takewhile(lambda packet: not packet.is_corrupt, container.demux(stream))
    except av.error.FFmpegError:
        return


def _index(stream: VideoStream, read: _Read) -> FrameIndex | None:
    times = np.sort(np.array(read.times, np.int64))
    gaps = np.diff(times)
    if not len(times) or not read.keys or not stream.time_base or (len(gaps) and gaps.min() <= 0):
        return None
    base = float(stream.time_base)
    places = [KeyFrame(int(np.searchsorted(times, time)), time, place) for time, place in sorted(read.keys)]
    mean = float(gaps.mean()) if len(gaps) else 0.0
    rate = 1.0 / (mean * base) if mean else float(stream.average_rate or 0)
    # Times are whole units of the file's clock, so equal ones may differ by one.
    steady = not len(gaps) or float(np.abs(gaps - mean).max()) <= max(1.0, _STEADY * mean)
    longest = float(gaps.max()) * base if len(gaps) else 0.0
    return FrameIndex(len(times), tuple(places), rate, steady, (read.end - (stream.start_time or 0)) * base, longest)
