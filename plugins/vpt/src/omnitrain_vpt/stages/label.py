"""Stage `vpt/label`: video with the actions that an inverse dynamics model sees in it (section 3.1, app. D.2)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnitrain.api import Evaluation, Metric, Run, Table
from omnitrain.engine import whole, write_whole
from omnitrain.errors import DataError, UsageError
from omnitrain_control.problems import SHOWN
from omnitrain_control.video import VideoWriter, probe_video
from omnitrain_vpt.configs.stages import LabelConfig
from omnitrain_vpt.data.recordings import recordings_of, segments_there
from omnitrain_vpt.models.labeller import Labeller, label_frames
from omnitrain_vpt.paper.actions import CAMERA
from omnitrain_vpt.paper.minecraft import BUTTONS, LineWriter
from omnitrain_vpt.recordings.format import RATE, ReadingProblems, Segment, Track, video_track, write_lines
from omnitrain_vpt.recordings.frames import Pointer, pointer, track_frames
from omnitrain_vpt.recordings.rates import OtherRate, frames_at, other_rate, step_frames
from omnitrain_vpt.recordings.work import OTHER_RATES, WORK, finished_videos, leave_recordings, link, tell_problems

_ADVICE = "set other_rates: resample to read video at those, or take to call every frame a step"
LOOKED_AT = 500
"""Videos whose rates a dry run tells."""


def lines_of(buttons: NDArray[np.uint8], camera: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Return lines of the contractor format that the ordinary reader turns back into these buttons and bins."""
    writer = LineWriter()
    degrees = CAMERA.decode(camera)
    return [
        writer([name for name, on in zip(BUTTONS, row, strict=True) if on], (float(angles[0]), float(angles[1])))
        for row, angles in zip(buttons, degrees, strict=True)
    ]


def model_track(segment: Segment, rate: float, rule: str) -> tuple[Track, str]:
    """Return the frames of a video that a model is asked for, and how they differ from its steps of `rate` a second.

    rule: `LabelConfig.other_rates`. Raises DataError for a video that can't be read, OtherRate for one
    whose frames are no steps.
    """
    track, other = video_track(segment), other_rate(segment.video, rate)
    if not other or rule == "take":
        return track, other
    steps = step_frames(segment.video, rate) if rule == "resample" else None
    if steps is None:
        raise OtherRate(f"{segment.video}: {other}{', fewer than steps' if rule == 'resample' else ''}")
    return track.take(steps), other


def label_video(
    segment: Segment,
    folder: Path,
    labeller: Labeller,
    config: LabelConfig,
    size: int,
    picture: Pointer,
    rate: float = RATE,
) -> dict[str, Any]:
    """Write a video with its labels into a folder, and return what is told of it; nothing is written of one without frames.

    size, picture: of the frames and of the pointer in them. rate: steps a second of the model. Raises DataError for a video
    that can't be read, or whose frames are no steps.
    """
    track, other = model_track(segment, rate, config.other_rates)
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
        "other_rate": other,
    }
    (folder / segment.name).parent.mkdir(parents=True, exist_ok=True)
    if other and config.other_rates == "resample":
        write_steps(segment.video, folder / f"{segment.name}.mp4", track.frames[: len(frames)], rate)
    else:
        video = folder / f"{segment.name}{segment.video.suffix.lower()}"
        video.unlink(missing_ok=True)  # renaming a link onto another one of the same file would leave both
        with whole(video) as path:
            link(segment.video, path)
    write_lines(folder / f"{segment.name}.jsonl", lines_of(buttons, camera))
    write_whole(folder / f"{segment.name}-options.json", json.dumps(told))
    return {**told, "announced": len(track)}


def write_steps(source: Path, target: Path, numbers: NDArray[np.int64], rate: float) -> None:
    """Write some frames of a video as another one of `rate` a second."""
    frames = frames_at(source, numbers)
    first = next(frames)
    with whole(target) as path, VideoWriter(path, first.shape[:2], rate) as writer:
        for frame in chain([first], frames):
            writer.write(frame)


class Label:
    """Stage `vpt/label`."""

    def __call__(self, config: LabelConfig, run: Run) -> None:
        """Label every video of the data; the artifact "data" is read like any recordings.

        Raises UsageError for other data or another model, DataError when no video can be read.
        """
        data = recordings_of("vpt/label", config.data, run)
        opened = run.open(config.model, device=config.device)
        labeller = opened.predictor
        if not isinstance(labeller, Labeller):
            raise UsageError(f"vpt/label needs a vpt/idm, not {opened.address}.")
        data.locate(run.workspace, run)
        size, picture, folder = (
            labeller.model.architecture.image[0],
            pointer(data.config.reading.cursor),
            run.ledger(WORK).folder,
        )
        segments, problems = data.segments(), ReadingProblems()
        rate = float(opened.facts.get("rate", RATE))

        def labelled(segment: Segment) -> dict[str, Any]:
            return label_video(segment, folder, labeller, config, size, picture, rate)

        found = list(finished_videos(run, "labelling", segments, labelled, problems))
        tell_problems(run, problems)
        if not found:
            advice = f" The model learned {rate:g} steps a second; {_ADVICE}." if OTHER_RATES in problems.counts else ""
            raise DataError(f"None of {len(segments)} videos can be labelled: {problems.summary()}.{advice}")
        tell_others(run, [(segment, told["other_rate"]) for segment, told in found], config.other_rates, rate)
        run.report("label", _report([told for _, told in found], problems))
        leave_recordings(run, [segment.name for segment, _ in found], data.config)

    def plan(self, config: LabelConfig, run: Run) -> Sequence[str]:
        """Say which rates the videos have, where they are there already: those of others than the model's steps are told.

        Raises UsageError for other data, DataError where there is no video.
        """
        segments = segments_there("vpt/label", config.data, run)
        if not segments:
            return []
        counts = Counter(rate_words(segment.video) for segment in segments[:LOOKED_AT])
        found = ", ".join(f"{words} in {count} videos" for words, count in counts.most_common())
        if len(segments) > LOOKED_AT:
            found += f" (the first {LOOKED_AT} of {len(segments)})"
        return [f"frames a second: {found}; video of others than the model learned from: {config.other_rates}"]


label = Label()


def rate_words(video: Path) -> str:
    """Return the rate of a video by its header, or that it can't be read."""
    try:
        return f"{probe_video(video).rate:g}"
    except DataError:
        return "unreadable"


def tell_others(run: Run, found: Sequence[tuple[Segment, str]], rule: str, rate: float) -> None:
    """Tell how many videos were labelled whose frames were not the model's steps, and what was done with them."""
    others = [f"{segment.video} ({other})" for segment, other in found if other]
    if others:
        done = "read at those" if rule == "resample" else "every frame was taken for one"
        run.event("other rates", videos=len(others), steps_a_second=rate, done=done, first=", ".join(others[:SHOWN]))


def _report(videos: Sequence[dict[str, Any]], problems: ReadingProblems) -> Evaluation:
    """Return what was labelled. videos: what is told of each."""
    frames, nulls = (sum(told[name] for told in videos) for name in ("frames", "null"))
    counts = np.sum([told["counts"] for told in videos], 0).tolist()
    rows = [[name, n, n / frames] for name, n in zip([*BUTTONS, "camera"], counts, strict=True)]
    metrics = {
        "videos": Metric(float(len(videos)), len(videos)),
        "videos_of_another_rate": Metric(float(sum(bool(told["other_rate"]) for told in videos)), len(videos)),
        "frames": Metric(float(frames), frames),
        "null_share": Metric(nulls / frames, frames),
        "left_out": Metric(float(sum(problems.counts.values())), len(videos)),
    }
    caption = f"left out: {problems.summary()}" if problems.counts else "labelled frames by key"
    return Evaluation(metrics, {"keys": Table(["key", "frames", "share"], rows, caption)})
