"""Video files as frames, through PyAV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, dropwhile, islice
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from omnitrain.errors import DataError
from omnitrain_control.frame_index import KeyFrame, ShownOrder, frame_index, frame_times, video_stream

Frame = NDArray[np.uint8]
Order = Literal["rgb24", "bgr24"]


# Transfer functions of television that are brighter than a screen's: SMPTE 2084 and ARIB B67.
_HIGH_DYNAMIC_RANGE = {16, 18}
# Orders of the two halves of a frame; 0 is unknown and 1 is whole frames.
_INTERLACED = {2, 3, 4, 5}


@dataclass(frozen=True)
class VideoFacts:
    """What a file tells without being decoded.

    frames: as announced. held: those of them that are in the file, decodable or not; fewer where it was cut. rate: frames a
    second, on average. notes: what its pictures lose when they are read.
    """

    frames: int
    height: int
    width: int
    rate: float
    held: int
    notes: tuple[str, ...] = ()


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and its video stream.

    Raises DataError when it is missing, cut before its header, or holds no video.
    """
    try:
        container = av.open(str(path))
    except (OSError, ValueError, av.error.FFmpegError) as error:
        raise DataError(f"{path} can't be opened as a video ({_reason(error)}); it may be cut short.") from error
    with container:
        stream = video_stream(container)
        if stream is None:
            raise DataError(f"{path} holds no video stream.")
        if stream.codec_context is None:
            raise DataError(f"{path} can't be opened as a video (nothing here decodes it); it may be damaged.")
        # One thread a file: readers decode several files at once, and threads inside a file would fight for the cores.
        stream.codec_context.thread_count = 1
        yield container, stream


def probe_video(path: Path) -> VideoFacts:
    """Read what a file tells without decoding it.

    Raises DataError when it is missing, cut before its header, or holds no video.
    """
    with _opened(path) as (container, stream):
        rate, frames = float(stream.average_rate or 0), int(stream.frames)
        height, width, notes = int(stream.height), int(stream.width), _notes(stream)
        if min(height, width) < 1:
            raise DataError(f"{path} can't be opened as a video (its pictures have no size); it may be cut short.")
        if frames:
            return VideoFacts(frames, height, width, rate, _held(container, stream, frames), notes)
        announced = round(rate * float(container.duration or 0) / av.time_base)
        end_s = _announced_end(stream)
    index = frame_index(path)
    if index is None:
        return VideoFacts(announced, height, width, rate, announced, notes)
    lost = end_s - index.end_s
    missing = round(lost * index.rate) if lost > 0.9 * index.longest_s else 0
    return VideoFacts(index.frames + missing, height, width, index.rate, index.frames, notes)


def steady_rate(path: Path) -> float | None:
    """Return the frames a second of a file whose frames are equally far apart, else None.

    Raises DataError when the file can't be opened.
    """
    with _opened(path) as (_, stream):
        rate = float(stream.average_rate or 0)
    index = frame_index(path)
    if index is None or (index.steady and rate and abs(index.rate / rate - 1) < 0.01):
        return rate or None
    return index.rate if index.steady else None


def shown_times(path: Path) -> NDArray[np.float64] | None:
    """Return the seconds at which the frames of a file are shown, float64[frames], ascending; None where that is not known.

    Raises DataError when the file can't be opened.
    """
    with _opened(path) as (container, stream):
        return frame_times(container, stream)


def _announced_end(stream: VideoStream) -> float:
    """Return the seconds at which a stream ends by its header, 0 where that does not tell."""
    if stream.duration is not None and stream.time_base:
        return float(stream.duration * stream.time_base)
    try:
        hours, minutes, seconds = (float(part) for part in stream.metadata.get("DURATION", "").split(":"))
    except ValueError:
        return 0.0
    return hours * 3600 + minutes * 60 + seconds


def _notes(stream: VideoStream) -> tuple[str, ...]:
    """Say what a file's pictures lose as RGB of 8 bits; depth, range and matrix of their colours are converted."""
    context, found = stream.codec_context, []
    if context.color_trc in _HIGH_DYNAMIC_RANGE:
        found.append("high dynamic range taken as it is")
    if context.format is not None and any(part.is_alpha for part in context.format.components):
        found.append("transparency dropped")
    if context.field_order in _INTERLACED:
        found.append("interlaced, taken with both halves of a frame in one picture")
    aspect = stream.sample_aspect_ratio
    if aspect and aspect != 1:
        found.append(f"pixels are {aspect.numerator}:{aspect.denominator}, taken as squares")
    return tuple(found)


def _held(container: InputContainer, stream: VideoStream, announced: int) -> int:
    """Return how many of the announced frames are in the file. Where the last one is, so are the others."""
    begin = stream.start_time or 0
    try:
        container.seek(begin + (stream.duration or 0), stream=stream, any_frame=True)
        if _is_whole(next(container.demux(stream))):
            return announced
        container.seek(begin, stream=stream)
        return min(announced, sum(map(_is_whole, container.demux(stream))))
    except (av.error.FFmpegError, StopIteration):
        # Not every format can be searched; then only decoding tells.
        return announced


def _is_whole(packet: av.Packet[Any]) -> bool:
    return packet.size > 0 and not packet.is_corrupt


def read_frames(path: Path, order: Order = "rgb24", start: int = 0) -> Iterator[Frame]:
    """Yield the frames uint8[height, width, 3] of a file in order from number `start`, decoding one at a time.

    Frames are counted, whatever their times: number `start` is the same frame wherever reading begins. It begins at the key
    frame before it, or at the first frame where packets don't tell numbers. Frames are turned as the file asks players to. A
    file that is cut or damaged in its middle ends there: what can be decoded before is yielded. Raises DataError where the
    file can't be opened.
    """
    key = _key_before(path, start)
    if key is not None:
        with _opened(path) as (container, stream):
            container.seek(key.place, stream=stream, backward=True)
            packets = dropwhile(lambda packet: packet.pts != key.time, container.demux(stream))
            frames = _decoded(packets, stream, ShownOrder(stream, key.time))
            first = next(frames, None)
            if first is not None and first.pts == key.time:
                yield from (_picture(f, order, path) for f in islice(chain([first], frames), start - key.number, None))
                return
    with _opened(path) as (container, stream):
        frames = _decoded(container.demux(stream), stream, ShownOrder(stream))
        yield from (_picture(frame, order, path) for frame in islice(frames, start, None))


def _key_before(path: Path, start: int) -> KeyFrame | None:
    """Return the key frame from which frame `start` is reached; None for the beginning of the file."""
    if start <= 0:
        return None
    with _opened(path):
        index = frame_index(path)
    key = None if index is None else index.key_before(start)
    return key if key is not None and key.number else None


def _picture(frame: av.VideoFrame, order: Order, path: Path) -> Frame:
    try:
        deep = max(part.bits for part in frame.format.components) > 8
        pixels = _deep_picture(frame, order) if deep else frame.to_ndarray(format=order)
    except (ValueError, av.error.FFmpegError) as error:
        raise DataError(f"{path}: its pictures ({frame.format.name}) can't be converted ({_reason(error)}).") from error
    turned = np.rot90(pixels, round(getattr(frame, "rotation", 0) / 90))
    return np.ascontiguousarray(turned)


def _deep_picture(frame: av.VideoFrame, order: Order) -> Frame:
    """Convert colours of more than 8 bits, rounded: the direct way to 8 bits makes them darker by up to two steps."""
    deep = frame.to_ndarray(format="rgb48le").astype(np.uint32)
    pixels = ((deep * 255 + 32768) // 65535).astype(np.uint8)
    return pixels if order == "rgb24" else pixels[..., ::-1]


class _BrokenPacket(Exception):
    """A packet that the file itself knows to be cut."""


def _decoded(packets: Iterable[av.Packet[Any]], stream: VideoStream, order: ShownOrder) -> Iterator[av.VideoFrame]:
    """Yield the frames before the first broken packet, and before the first one that is missing.

    A decoder holds back frames that may come behind later ones. Of those, only what follows without a gap is yielded: what
    was to come between them is lost, and frames are counted.
    """
    try:
        for packet in packets:
            if packet.is_corrupt:
                raise _BrokenPacket
            order.takes(packet)
            for frame in packet.decode():
                follows = order.follows(frame)
                if follows is False:
                    return
                if follows:
                    yield frame
    except (_BrokenPacket, av.error.FFmpegError):
        try:
            held = stream.codec_context.decode(None)
        except av.error.FFmpegError:
            return
        for frame in held:
            if not order.reliable or not order.follows(frame):
                return
            yield frame


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


class VideoWriter:
    """Writes RGB frames to an mp4 (H.264, or MPEG-4 where that encoder is missing). Use as a context manager.

    size: (height, width). rate: frames a second. quality: constant rate factor, 0 is lossless, 23 the encoder's default.
    full_chroma: keep colours at full resolution, without which small pictures lose their edges; browsers do not play it.
    Colours at half the resolution need an even height and width, so odd ones are refused there.
    """

    def __init__(
        self, path: Path, size: tuple[int, int], rate: float = 20, quality: int = 18, full_chroma: bool = True
    ) -> None:
        height, width = size
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        full_chroma = full_chroma and codec == "libx264"
        if not full_chroma and (height % 2 or width % 2):
            raise DataError(f"{path}: colours at half the resolution need an even height and width, found {height}x{width}.")
        self._container = av.open(str(path), "w", format="mp4")
        # 30000/1001 and its like are what clocks of video know.
        stream = self._container.add_stream(codec, rate=Fraction(rate).limit_denominator(1001))
        assert isinstance(stream, VideoStream)
        self._stream = stream
        self._stream.height, self._stream.width = height, width
        self._stream.pix_fmt = "yuv444p" if full_chroma else "yuv420p"
        if codec == "libx264":
            # Without these two of its tools the encoder gives the same bytes for the same frames; with them it mostly does.
            tools = "mbtree=0:weightp=0"
            self._stream.options = {"crf": str(quality), "preset": "veryfast", "x264-params": tools}
        self._stream.codec_context.thread_count = 1

    def write(self, frame: Frame) -> None:
        """Append a frame uint8[height, width, 3], RGB."""
        for packet in self._stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")):
            self._container.mux(packet)

    def close(self) -> None:
        """Write what the encoder holds back, and the header."""
        for packet in self._stream.encode():
            self._container.mux(packet)
        self._container.close()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def write_video(path: Path, frames: NDArray[np.uint8], rate: float = 20, quality: int = 18, full_chroma: bool = True) -> None:
    """Write frames uint8[time, height, width, 3], RGB, to an mp4."""
    with VideoWriter(path, (frames.shape[1], frames.shape[2]), rate, quality, full_chroma) as writer:
        for frame in frames:
            writer.write(frame)
