"""Digits that tell settings and recordings apart."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

_EDGE_BYTES = 1 << 16


def digest(value: Any) -> str:
    """Return 32 hexadecimal digits of a JSON value; equal values give equal digits in every process."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def file_digest(path: Path) -> str:
    """Return digits of a file's size and of its first and last 64 KiB: enough to notice another recording, and fast."""
    found = hashlib.blake2b(digest_size=16)
    size = path.stat().st_size
    found.update(str(size).encode())
    with open(path, "rb") as file:
        found.update(file.read(_EDGE_BYTES))
        if size > _EDGE_BYTES:
            file.seek(max(_EDGE_BYTES, size - _EDGE_BYTES))
            found.update(file.read(_EDGE_BYTES))
    return found.hexdigest()
