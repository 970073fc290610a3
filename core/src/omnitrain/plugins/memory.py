"""Descriptions that were looked at before, in the cache folder: used again as long as nothing that they rest on has changed.

A file that is damaged, of another version or can't be written is as good as none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import omnitrain
from omnitrain.api import API_VERSION
from omnitrain.errors import EnvironmentFault
from omnitrain.places import cache_folder
from omnitrain.plugins.stamps import stamp

_SCHEMA = 1
_MOST = 200
_HERE = os.path.dirname(os.path.abspath(__file__))
_API = os.path.join(os.path.dirname(_HERE), "api")
# A description is only as good as the code that has checked it.
_CODE = (
    *(os.path.join(_HERE, f"{name}.py") for name in ("describing", "answering", "stamps", "listing")),
    *(os.path.join(_API, f"{name}.py") for name in ("descriptors", "claims", "references")),
)

Answer = dict[str, Any]


def _file() -> Path | None:
    """Return the file of this interpreter and installation, or None where there is no cache folder."""
    try:
        folder = cache_folder() / "plugins"
        folder.mkdir(exist_ok=True)
    except (OSError, EnvironmentFault):
        return None
    made = f"{sys.prefix}\0{sys.version}\0{_HERE}"
    return folder / f"{hashlib.sha256(made.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}.json"


def _head() -> list[Any]:
    return [_SCHEMA, list(API_VERSION), omnitrain.__version__, [stamp(path) for path in _CODE]]


class Memory:
    """What was remembered, by keys that name a plugin and where it is. `entries` may be damaged in any way."""

    def __init__(self) -> None:
        self._path = _file()
        self._changed = False
        self._entries: dict[str, Any] = {}
        self._seen: dict[str, list[int] | None] = {}
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            if self._path is not None:
                text = self._path.read_bytes()
                digest, _, body = text.partition(b"\n")
                held = json.loads(body) if digest.decode() == _digest(body) else {}
                if held.get("head") == _head():
                    self._entries = dict(held["entries"])

    def recall(self, key: str) -> Answer | None:
        """Return the answer under a key, if all that it rests on is as it was."""
        found = self._entries.get(key)
        if not isinstance(found, dict) or not isinstance(found.get("stamps"), dict):
            return None
        return found if all(self._stamp(path) == held for path, held in found["stamps"].items()) else None

    def _stamp(self, path: str) -> list[int] | None:
        if path not in self._seen:
            self._seen[path] = stamp(path)
        return self._seen[path]

    def keep(self, answers: Mapping[str, Answer]) -> None:
        """Add answers, in place of earlier ones under their keys."""
        self._changed = self._changed or bool(answers)
        self._entries = {**{key: found for key, found in self._entries.items() if key not in answers}, **answers}

    def write(self) -> None:
        """Write what was added; the oldest are dropped where there are too many. Nothing is raised where that fails."""
        if self._path is None or not self._changed:
            return
        self._entries = dict(list(self._entries.items())[-_MOST:])
        temporary = self._path.with_name(f".tmp-{self._path.name}-{os.getpid()}")
        with contextlib.suppress(OSError, ValueError):
            body = json.dumps({"head": _head(), "entries": self._entries}).encode()
            temporary.write_bytes(_digest(body).encode() + b"\n" + body)
            os.replace(temporary, self._path)
            return
        with contextlib.suppress(OSError):
            temporary.unlink()


def _digest(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=16).hexdigest()
