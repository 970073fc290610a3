"""Video files as frames, through PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from omnitrain.errors import DataError

Frame = NDArray[np.uint8]
Order = Literal["rgb24", "bgr24"]


@dataclass(frozen=True)
class VideoFacts:
    """What a file's header says.

    frames: as announced. held: those of them that are in the file, decodable or not; fewer where it was cut.
    """

    frames: int
    height: int
    width: int
    rate: float
    held: int


def probe_video(path: Path) -> VideoFacts:
    """Read a file's header.

    Raises DataError when it is missing, cut before its header, or holds no video.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError(f"{path} holds no video stream.")
            stream = container.streams.video[0]
            rate = float(stream.average_rate or 0)
            frames = int(stream.frames or round(rate * float(container.duration or 0) / av.time_base))
            return VideoFacts(frames, int(stream.height), int(stream.width), rate, _held(container, stream, frames))
    except (OSError, av.error.FFmpegError) as error:
        raise DataError(f"{path} can't be opened as a video ({_reason(error)}); it may be cut short.") from error


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

    A file that is cut or damaged in its middle ends there: what can be decoded before is yielded. Frames are numbered by
    their time, so a start in the middle seeks to the key frame before it. Raises DataError where the file can't be opened.
    """
    try:
        container = av.open(str(path))
    except (OSError, av.error.FFmpegError) as error:
        raise DataError(f"{path} can't be opened as a video ({_reason(error)}); it may be cut short.") from error
    with container:
        if not container.streams.video:
            raise DataError(f"{path} holds no video stream.")
        stream = container.streams.video[0]
        # One thread a file: readers decode several files at once, and threads inside a file would fight for the cores.
        stream.codec_context.thread_count = 1
        rate, base, origin = stream.average_rate, stream.time_base, stream.start_time or 0
        if start and rate and base:
            container.seek(origin + int(start / rate / base), stream=stream, backward=True)
        number = 0
        for frame in _decoded(container, stream):
            if start and rate and base and frame.pts is not None:
                number = round((frame.pts - origin) * base * rate)
            if number >= start:
                yield np.ascontiguousarray(frame.to_ndarray(format=order))
            number += 1


def _decoded(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """Yield the frames before the first broken packet.

    A decoder holds back frames that may come behind later ones. Of those, only what follows without a gap is yielded: what
    was to come between them is lost, and frames are counted.
    """
    last: int | None = None
    try:
        for packet in container.demux(stream):
            for frame in packet.decode():
                last = frame.pts
                yield frame
    except av.error.FFmpegError:
        try:
            held = stream.codec_context.decode(None)
        except av.error.FFmpegError:
            return
        rate = (stream.average_rate or 0) * (stream.time_base or 0)
        for frame in held:
            if last is not None and (frame.pts is None or round((frame.pts - last) * rate) != 1):
                return
            last = frame.pts
            yield frame


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


class VideoWriter:
    """Writes RGB frames to an mp4 (H.264, or MPEG-4 where that encoder is missing). Use as a context manager.

    size: (height, width), both even. quality: constant rate factor, 0 is lossless, 23 the encoder's default.
    full_chroma: keep colours at full resolution, without which small pictures lose their edges; browsers do not play it.
    """

    def __init__(self, path: Path, size: tuple[int, int], rate: int = 20, quality: int = 18, full_chroma: bool = True) -> None:
        height, width = size
        if height % 2 or width % 2:
            raise DataError(f"{path}: H.264 needs an even height and width, found {height}x{width}.")
        self._container = av.open(str(path), "w", format="mp4")
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        stream = self._container.add_stream(codec, rate=Fraction(rate))
        assert isinstance(stream, VideoStream)
        self._stream = stream
        self._stream.height, self._stream.width = height, width
        self._stream.pix_fmt = "yuv444p" if codec == "libx264" and full_chroma else "yuv420p"
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


def write_video(path: Path, frames: NDArray[np.uint8], rate: int = 20, quality: int = 18, full_chroma: bool = True) -> None:
    """Write frames uint8[time, height, width, 3], RGB, to an mp4."""
    with VideoWriter(path, (frames.shape[1], frames.shape[2]), rate, quality, full_chroma) as writer:
        for frame in frames:
            writer.write(frame)
