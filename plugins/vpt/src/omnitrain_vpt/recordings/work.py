"""Recordings that a stage makes one by one: a folder that a stopped stage finds again and that becomes its artifact."""

from __future__ import annotations

from pathlib import Path

from omnitrain.api import Run
from omnitrain_vpt.configs.data import RecordingsConfig

WORK = "unfinished"


def write_whole(path: Path, text: str) -> None:
    """Write a file that says that something is done: it is there whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def finish_recordings(run: Run, folder: Path, read: RecordingsConfig | None = None) -> None:
    """Make a folder of recordings the stage's artifact "data". read: how it is read; by default as any recordings are."""
    settings = {}
    if read is not None:
        excluded = {"path", "base", "elsewhere", "builtin", "max_clips", "max_frames"}
        settings = read.model_dump(mode="json", exclude=excluded)
    with run.artifact("data", "data", use="vpt/recordings", config=settings) as path:
        folder.rename(path)
