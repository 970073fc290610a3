"""Results files in a plugin's sources: read, and written so that what they hold of others stays."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omnitrain.errors import UsageError
from omnitrain.runs.files import write_whole

SCHEMA = 2


def read_stored(path: Path, key: str) -> dict[str, Any]:
    """Return a stored results file. key: the name of its list, "claims" or "benches".

    Raises UsageError when it is missing or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"{path} is missing; measure first, with --save {path}.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} can't be read: {error}.") from error
    rows = content.get(key) if isinstance(content, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"{path} is no results file: it holds no list {key!r}.")
    if key == "claims" and content.get("schema") != SCHEMA:
        raise UsageError(f"{path} has schema version {content.get('schema')!r}; this version of omnitrain reads {SCHEMA}.")
    return dict(content)


def merged(path: Path, content: Mapping[str, Any], key: str, label: str, order: Sequence[str]) -> dict[str, Any]:
    """Return results with what an earlier file holds of others.

    key: the name of the list. label: the field that names an entry. order: all names that there are; others are dropped.
    Raises UsageError when the earlier file is damaged.
    """
    rows = {row.get(label): row for row in read_stored(path, key)[key]} if path.exists() else {}
    rows |= {row[label]: row for row in content[key]}
    return {**content, key: [rows[name] for name in order if name in rows]}


def write_stored(path: Path, content: Mapping[str, Any]) -> None:
    """Write a results file, whole or not at all. Raises EnvironmentFault when it can't be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
