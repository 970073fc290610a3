"""PNG files from rows of bytes, with the standard library only."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Bytes a pixel to the colour type: grey, RGB, RGBA.
_TYPES = {1: 0, 3: 2, 4: 6}
_INDEXED = 3


def png(pixels: bytes, width: int, height: int, channels: int) -> bytes:
    """Return 8-bit pixels, row by row from the top, as a PNG file. channels: 1 (grey), 3 (RGB) or 4 (RGBA).

    Raises ValueError when there are no pixels, or not width * height * channels bytes.
    """
    return _file(pixels, width, height, channels, _TYPES[channels], b"")


def indexed_png(numbers: bytes, width: int, height: int, palette: Sequence[tuple[int, int, int]], clear: int) -> bytes:
    """Return numbers of colours, row by row from the top, as a PNG file. palette: up to 256 colours (red, green, blue).

    clear: the number that is transparent.
    Raises ValueError when there are no pixels, or not width * height bytes.
    """
    colours = b"".join(bytes(colour) for colour in palette)
    opacity = bytes(0 if number == clear else 255 for number in range(len(palette)))
    return _file(numbers, width, height, 1, _INDEXED, _chunk(b"PLTE", colours) + _chunk(b"tRNS", opacity))


def _file(pixels: bytes, width: int, height: int, channels: int, kind: int, colours: bytes) -> bytes:
    if width < 1 or height < 1 or len(pixels) != width * height * channels:
        raise ValueError(f"{len(pixels)} bytes for {width} x {height} pixels of {channels} bytes")
    line = width * channels
    rows = b"".join(b"\0" + pixels[at : at + line] for at in range(0, len(pixels), line))
    head = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    return SIGNATURE + _chunk(b"IHDR", head) + colours + _chunk(b"IDAT", zlib.compress(rows, 9)) + _chunk(b"IEND", b"")


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
