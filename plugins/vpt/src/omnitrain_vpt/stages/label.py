"""Stage `vpt/label`: video with the actions that an inverse dynamics model sees in it (section 3.1, app. D.2)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnitrain.api import Evaluation, Metric, Run, Table
from omnitrain.engine import whole, write_whole
from omnitrain.errors import DataError, UsageError
from omnitrain_vpt.configs.stages import LabelConfig
from omnitrain_vpt.data.recordings import RecordingsData
from omnitrain_vpt.models.labeller import Labeller, label_frames
from omnitrain_vpt.paper.actions import CAMERA
from omnitrain_vpt.paper.minecraft import BUTTONS, LineWriter
from omnitrain_vpt.recordings.format import ReadingProblems, Segment, video_track, write_lines
from omnitrain_vpt.recordings.frames import Pointer, pointer, track_frames
from omnitrain_vpt.recordings.work import WORK, finished_videos, leave_recordings, link


def lines_of(buttons: NDArray[np.uint8], camera: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Return lines of the contractor format that the ordinary reader turns back into these buttons and bins."""
    writer = LineWriter()
    degrees = CAMERA.decode(camera)
    return [
        writer([name for name, on in zip(BUTTONS, row, strict=True) if on], (float(angles[0]), float(angles[1])))
        for row, angles in zip(buttons, degrees, strict=True)
    ]


def label_video(
    segment: Segment, folder: Path, labeller: Labeller, config: LabelConfig, size: int, picture: Pointer
) -> dict[str, Any]:
    """Write a video with its labels into a folder, and return what is told of it; nothing is written of one without frames.

    size, picture: of the frames and of the pointer in them. Raises DataError for a video that can't be read.
    """
    track = video_track(segment)
    frames = list(track_frames(segment.video, track, size, picture))
    if not frames:
        return {"frames": 0, "announced": len(track)}
    buttons, camera = label_frames(labeller, np.stack(frames), config.window, config.stride, config.batch_size)
    pressed, moved = buttons.sum(0), (camera != CAMERA.zero).any(-1)
    told = {
        "labelled_by": "vpt/idm",
        "frames": len(frames),
        "null": int((~buttons.any(-1) & ~moved).sum()),
        "counts": [*map(int, pressed), int(moved.sum())],
    }
    video = folder / f"{segment.name}.mp4"
    video.parent.mkdir(parents=True, exist_ok=True)
    video.unlink(missing_ok=True)  # renaming a link onto another one of the same file would leave both
    with whole(video) as path:
        link(segment.video, path)
    write_lines(folder / f"{segment.name}.jsonl", lines_of(buttons, camera))
    write_whole(folder / f"{segment.name}-options.json", json.dumps(told))
    return {**told, "announced": len(track)}


def label(config: LabelConfig, run: Run) -> None:
    """Label every video of the data; the artifact "data" is read like any recordings.

    Raises UsageError for other data or another model, DataError when no video can be read.
    """
    run.rewind(0, 0)
    data = run.build(config.data)
    if not isinstance(data, RecordingsData):
        raise UsageError(f"vpt/label reads vpt/recordings, not {type(data).__name__}.")
    opened = run.open(config.model, device=config.device)
    labeller = opened.predictor
    if not isinstance(labeller, Labeller):
        raise UsageError(f"vpt/label needs a vpt/idm, not {opened.address}.")
    data.locate(run.workspace, run)
    size, picture, folder = labeller.model.architecture.image[0], pointer(data.config.reading.cursor), run.ledger(WORK).folder
    segments, problems = data.segments(), ReadingProblems()

    def labelled(segment: Segment) -> dict[str, Any]:
        return label_video(segment, folder, labeller, config, size, picture)

    found = list(finished_videos(run, "labelling", segments, labelled, problems))
    if not found:
        raise DataError(f"None of {len(segments)} videos can be labelled: {problems.summary()}.")
    run.report("label", _report([told for _, told in found], problems))
    leave_recordings(run, [segment.name for segment, _ in found], data.config)


def _report(videos: Sequence[dict[str, Any]], problems: ReadingProblems) -> Evaluation:
    """Return what was labelled. videos: what is told of each."""
    frames, nulls = (sum(told[name] for told in videos) for name in ("frames", "null"))
    counts = np.sum([told["counts"] for told in videos], 0).tolist()
    rows = [[name, n, n / frames] for name, n in zip([*BUTTONS, "camera"], counts, strict=True)]
    metrics = {
        "videos": Metric(float(len(videos)), len(videos)),
        "frames": Metric(float(frames), frames),
        "null_share": Metric(nulls / frames, frames),
        "left_out": Metric(float(sum(problems.counts.values())), len(videos)),
    }
    caption = f"left out: {problems.summary()}" if problems.counts else "labelled frames by key"
    return Evaluation(metrics, {"keys": Table(["key", "frames", "share"], rows, caption)})
