"""Recordings that a stage makes one by one: finished ones stand in a ledger with their files, which become its artifact."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from omnitrain.api import Run
from omnitrain.errors import DataError
from omnitrain_vpt.configs.data import RecordingsConfig
from omnitrain_vpt.recordings.format import SUFFIXES, VIDEO_SUFFIXES, ReadingProblems, Segment, write_index
from omnitrain_vpt.recordings.rates import OtherRate

WORK = "recordings"
"""Name of the ledger."""
UNREADABLE = "videos that can't be read"
OTHER_RATES = "videos whose frames are not the model's steps"


def link(source: Path, target: Path) -> None:
    """Link a file where the file system allows it, else copy it."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def finished_videos(
    run: Run, label: str, segments: Sequence[Segment], work: Callable[[Segment], dict[str, Any]], problems: ReadingProblems
) -> Iterator[tuple[Segment, dict[str, Any]]]:
    """Yield every video that has frames with what was told of it, working on those that are not finished yet.

    work: makes the files of a video and tells plain JSON, among it "frames" (that can be decoded) and "announced" (by its
    header). problems: counts, each time anew, videos that can't be read, have no frames or fewer than announced.
    """

    def told_of(segment: Segment) -> dict[str, Any]:
        try:
            return work(segment)
        except OtherRate as error:
            return {"fault": str(error).rstrip("."), "kind": OTHER_RATES}
        except DataError as error:
            return {"fault": str(error).rstrip("."), "kind": UNREADABLE}

    done = run.ledger(WORK).map(told_of, segments, key=lambda segment: segment.name, label=label)
    for segment, (_, told) in zip(segments, done, strict=True):
        if "fault" in told:
            problems.add(told["kind"], told["fault"])
        elif not told["frames"]:
            problems.add("videos without frames", str(segment.video))
        else:
            if told["frames"] < told["announced"]:
                place = f"{segment.video}: {told['frames']} of {told['announced']} frames"
                problems.add("videos that are cut short", place)
            yield segment, told


def tell_problems(run: Run, problems: ReadingProblems) -> None:
    """Tell what was left out, beside the stage's report."""
    if problems.counts:
        run.event("left out", problems=problems.summary())


def leave_recordings(run: Run, names: Sequence[str], read: RecordingsConfig | None = None) -> None:
    """Make finished recordings the stage's artifact "data".

    The ledger keeps its files, so that a stage that is killed right behind finds them again; they are links where the file
    system has such. read: how the recordings are read; by default as any are.
    """
    settings = {}
    if read is not None:
        excluded = {"path", "base", "elsewhere", "builtin", "max_clips", "max_frames"}
        settings = read.model_dump(mode="json", exclude=excluded)
    source = run.ledger(WORK).folder
    videos: list[str] = []
    with run.artifact("data", "data", folder=True, use="vpt/recordings", config=settings) as path:
        for name in names:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            for suffix in SUFFIXES:
                if (source / f"{name}{suffix}").exists():
                    link(source / f"{name}{suffix}", path / f"{name}{suffix}")
                    videos += [f"{name}{suffix}"] if suffix in VIDEO_SUFFIXES else []
        write_index(path, videos)
