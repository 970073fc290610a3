"""Stage `vpt/label`: video with the actions that an inverse dynamics model sees in it (section 3.1, app. D.2)."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnitrain.api import Evaluation, Metric, Run, Table
from omnitrain.engine import choose_device, evaluating
from omnitrain.errors import DataError, UsageError
from omnitrain_vpt.configs.stages import LabelConfig
from omnitrain_vpt.data.recordings import RecordingsData
from omnitrain_vpt.models.labeller import Labeller, label_frames
from omnitrain_vpt.models.network.policy import InverseDynamics
from omnitrain_vpt.paper.actions import CAMERA
from omnitrain_vpt.paper.minecraft import BUTTONS, LineWriter
from omnitrain_vpt.recordings.format import ReadingProblems, Segment, video_track, write_index, write_lines
from omnitrain_vpt.recordings.frames import Pointer, pointer, track_frames
from omnitrain_vpt.recordings.work import WORK, finish_recordings, write_whole


def lines_of(buttons: NDArray[np.uint8], camera: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Return lines of the contractor format that the ordinary reader turns back into these buttons and bins."""
    writer = LineWriter()
    degrees = CAMERA.decode(camera)
    return [
        writer([name for name, on in zip(BUTTONS, row, strict=True) if on], (float(angles[0]), float(angles[1])))
        for row, angles in zip(buttons, degrees, strict=True)
    ]


def _copy_video(source: Path, target: Path) -> None:
    """Link the video where the file system allows it, else copy it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


class _Labelling:
    """The work of one stage, video by video; what is done is kept in a folder that a stopped stage finds again."""

    def __init__(self, config: LabelConfig, labeller: Labeller, folder: Path, size: int, picture: Pointer) -> None:
        self.config, self.labeller, self.folder, self.size, self.picture = config, labeller, folder, size, picture
        self.problems = ReadingProblems()
        self.counts = np.zeros(len(BUTTONS) + 1, np.int64)
        self.frames, self.nulls = 0, 0

    def label(self, segment: Segment) -> str | None:
        """Label one video, unless it is done; return its name, or None where it can't be read."""
        summary = self.folder / f"{segment.name}-options.json"
        try:
            track = video_track(segment)
            frames = [] if summary.exists() else list(track_frames(segment.video, track, self.size, self.picture))
        except DataError as error:
            self.problems.add("videos that can't be read", str(error).rstrip("."))
            return None
        if not summary.exists():
            if not frames:
                self.problems.add("videos without frames", str(segment.video))
                return None
            write_whole(summary, json.dumps(self._write(segment, np.stack(frames))))
        told = json.loads(summary.read_text("utf-8"))
        if told["frames"] < len(track):
            self.problems.add("videos that are cut short", f"{segment.video}: {told['frames']} of {len(track)} frames")
        self.frames, self.nulls = self.frames + told["frames"], self.nulls + told["null"]
        self.counts += np.array(told["counts"])
        return segment.name

    def _write(self, segment: Segment, frames: NDArray[np.uint8]) -> dict[str, Any]:
        """Label frames, write the lines beside the video, return what is told of them."""
        config = self.config
        buttons, camera = label_frames(self.labeller, frames, config.window, config.stride, config.batch_size)
        _copy_video(segment.video, self.folder / f"{segment.name}.mp4")
        write_lines(self.folder / f"{segment.name}.jsonl", lines_of(buttons, camera))
        pressed, moved = buttons.sum(0), (camera != CAMERA.zero).any(-1)
        return {
            "labelled_by": "vpt/idm",
            "frames": len(frames),
            "null": int((~buttons.any(-1) & ~moved).sum()),
            "counts": [*map(int, pressed), int(moved.sum())],
        }

    def report(self, names: Sequence[str]) -> Evaluation:
        """Return what was labelled."""
        rows = [[name, int(n), int(n) / max(self.frames, 1)] for name, n in zip([*BUTTONS, "camera"], self.counts, strict=True)]
        metrics = {
            "videos": Metric(float(len(names)), len(names)),
            "frames": Metric(float(self.frames), self.frames),
            "null_share": Metric(self.nulls / max(self.frames, 1), self.frames),
            "left_out": Metric(float(sum(self.problems.counts.values())), len(names)),
        }
        caption = f"left out: {self.problems.summary()}" if self.problems.counts else "labelled frames by key"
        return Evaluation(metrics, {"keys": Table(["key", "frames", "share"], rows, caption)})


def label(config: LabelConfig, run: Run) -> None:
    """Label every video of the data; the artifact "data" is read like any recordings.

    Raises UsageError for other data or another model, DataError when no video can be read.
    """
    run.rewind(0, 0)
    data = run.build(config.data)
    model = run.build(config.model)
    if not isinstance(data, RecordingsData):
        raise UsageError(f"vpt/label reads vpt/recordings, not {type(data).__name__}.")
    if not isinstance(model, InverseDynamics):
        raise UsageError(f"vpt/label needs a vpt/idm, not {type(model).__name__}.")
    data.locate(run.workspace, run)
    device = choose_device(config.device)
    folder = run.directory / WORK
    folder.mkdir(parents=True, exist_ok=True)
    size = model.architecture.image[0]
    work = _Labelling(config, Labeller(model.to(device)), folder, size, pointer(data.config.reading.cursor))
    segments = data.segments()
    names = []
    with evaluating(model), run.progress("labelling", len(segments)) as bar:
        for segment in segments:
            name = work.label(segment)
            names += [] if name is None else [name]
            bar.advance()
    if not names:
        raise DataError(f"None of {len(segments)} videos can be labelled: {work.problems.summary()}.")
    write_index(folder, names)
    run.report("label", work.report(names))
    finish_recordings(run, folder, data.config)
