"""Stage `vpt/clean`: the clean stretches of web video (app. A.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from omnitrain.api import Evaluation, Metric, Run, Table, UseData, numpy_generator
from omnitrain.engine import check_model_folder, explained_loading, find_pretrained, whole, write_whole
from omnitrain.errors import DataError, EnvironmentFault
from omnitrain_control.video import Frame, VideoWriter, probe_video, read_frames
from omnitrain_vpt.configs.stages import CleanConfig
from omnitrain_vpt.data.recordings import RecordingsData, recordings_of, segments_there
from omnitrain_vpt.paper.cleaning import clean_runs, median_filter
from omnitrain_vpt.recordings.format import RATE, ReadingProblems, Segment
from omnitrain_vpt.recordings.frames import resize
from omnitrain_vpt.recordings.work import WORK, finished_videos, leave_recordings, tell_problems

Floats = NDArray[np.float64]
Embed = Callable[[Sequence[Frame]], Floats]
_SIDE = 64
_CELLS = 4
_LEVELS = 4
_ANGLES = 8


def frame_statistics(frame: Frame) -> Floats:
    """Return colours and edges of an RGB frame, float64[168]: histogram, mean and spread of 16 cells, edges."""
    small = resize(frame, _SIDE).astype(np.float64) / 255.0
    levels = np.minimum((small * _LEVELS).astype(int), _LEVELS - 1)
    codes = (levels[..., 0] * _LEVELS + levels[..., 1]) * _LEVELS + levels[..., 2]
    histogram = np.bincount(codes.ravel(), minlength=_LEVELS**3) / codes.size
    side = _SIDE // _CELLS
    cells = small.reshape(_CELLS, side, _CELLS, side, 3)
    grey = small.mean(-1)
    dy, dx = np.gradient(grey)
    angle = (np.arctan2(dy, dx) / (2 * np.pi) * _ANGLES).astype(int) % _ANGLES
    edges = np.bincount(angle.ravel(), weights=np.hypot(dx, dy).ravel(), minlength=_ANGLES) / grey.size
    return np.concatenate([histogram, cells.mean((1, 3)).ravel(), cells.std((1, 3)).ravel(), edges * 10])


def embedding(name: str) -> Embed:
    """Return what turns frames into vectors: "statistics", or a CLIP model of transformers.

    Raises EnvironmentFault when transformers is missing.
    """
    if name == "statistics":
        return lambda frames: np.stack([frame_statistics(frame) for frame in frames])
    try:
        import torch
        from transformers import AutoProcessor, CLIPModel
    except ImportError as error:
        raise EnvironmentFault("CLIP needs transformers, which is not installed: pip install 'omnitrain-vpt[clip]'.") from error
    path = find_pretrained(name)
    if Path(path).is_dir():
        check_model_folder(Path(path))
    with explained_loading(path):
        model, processor = CLIPModel.from_pretrained(path, use_safetensors=True).eval(), AutoProcessor.from_pretrained(path)

    def embed(frames: Sequence[Frame]) -> Floats:
        with torch.no_grad():
            inputs = processor(images=list(frames), return_tensors="pt")
            return np.asarray(model.get_image_features(**inputs).double().numpy(), np.float64)

    return embed


def with_artefacts(frame: Frame, generator: np.random.Generator) -> Frame:
    """Return a frame as streamers show it: a picture of a person in a corner, a banner, a frame around the game."""
    out = frame.copy()
    height, width = frame.shape[:2]
    kind = int(generator.integers(3))
    colour = [int(c) for c in generator.integers(0, 256, 3)]
    if kind == 0:
        h, w = int(height * generator.uniform(0.25, 0.5)), int(width * generator.uniform(0.25, 0.5))
        y, x = int(generator.integers(2)) * (height - h), int(generator.integers(2)) * (width - w)
        out[y : y + h, x : x + w] = (generator.integers(0, 256, (h, w, 3)) // 2 + np.array(colour) // 2).astype(np.uint8)
    elif kind == 1:
        band = int(height * generator.uniform(0.15, 0.3))
        begin = int(generator.integers(2)) * (height - band)
        out[begin : begin + band] = colour
    else:
        out = np.full_like(frame, 0) + np.array(colour, np.uint8)
        h, w = int(height * 0.6), int(width * 0.6)
        y, x = (height - h) // 2, (width - w) // 2
        out[y : y + h, x : x + w] = cv2.resize(frame, (w, h), interpolation=cv2.INTER_LINEAR)
    return out


def sampled(path: Path, rate: float) -> tuple[list[Frame], int, int]:
    """Return every (video rate / `rate`)-th frame, how far apart they are, and how many frames there are in all."""
    step = max(1, round((probe_video(path).rate or RATE) / rate))
    found, count = [], 0
    for frame in read_frames(path):
        if count % step == 0:
            found.append(frame)
        count += 1
    return found, step, count


@dataclass(frozen=True)
class Verdict:
    """What became of a video.

    share: of clean frames. runs: kept (begin, end) in its frames. frames: that can be decoded. rate: of them a second.
    """

    share: float
    runs: list[tuple[int, int]]
    frames: int
    rate: float = RATE


def judge(labels: NDArray[Any], step: int, frames: int, rate: float, config: CleanConfig) -> Verdict:
    """Apply the paper's rules to the classes (1 clean) of sampled frames: share, median, runs."""
    share = float(np.mean(labels)) if len(labels) else 0.0
    if share < config.least_share:
        return Verdict(share, [], frames, rate)
    least = config.least_s * rate
    runs = [(b * step, min(e * step, frames)) for b, e in clean_runs(median_filter(labels, config.median), 1)]
    return Verdict(share, [run for run in runs if run[1] - run[0] >= least], frames, rate)


class Cleaner:
    """A classifier of frames, 1 for clean ones, and what it makes of videos. folder: where clean stretches are written."""

    def __init__(self, config: CleanConfig, embed: Embed, folder: Path) -> None:
        from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]
        from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]
        from sklearn.svm import SVC  # type: ignore[import-untyped]

        self.config, self.embed, self.folder = config, embed, folder
        self.classifier: Any = make_pipeline(StandardScaler(), SVC(kernel="rbf"))
        self.problems = ReadingProblems()

    def examples(self, data: RecordingsData, generator: np.random.Generator) -> list[Frame]:
        """Draw frames of all recordings."""
        found: list[Frame] = []
        for segment in data.segments():
            try:
                found += sampled(segment.video, self.config.frames_per_s)[0]
            except DataError as error:
                self.problems.add("videos that can't be read", str(error).rstrip("."))
        rows = generator.permutation(len(found))[: self.config.examples]
        return [found[row] for row in np.sort(rows)]

    def train(self, clean: Sequence[Frame], other: Sequence[Frame]) -> float:
        """Train the classifier; return its accuracy on a fifth that was held out."""
        if min(len(clean), len(other)) < 5:
            raise DataError(f"There are {len(clean)} clean and {len(other)} other frames; the classifier needs 5 of each.")
        features = self.embed([*clean, *other])
        classes = np.array([1] * len(clean) + [0] * len(other))
        held = np.arange(len(classes)) % 5 == 4
        self.classifier.fit(features[~held], classes[~held])
        accuracy = float((self.classifier.predict(features[held]) == classes[held]).mean())
        self.classifier.fit(features, classes)
        return accuracy

    def clean(self, segment: Segment) -> dict[str, Any]:
        """Judge a video and write its clean stretches; return the fields of its verdict and how many frames are announced.

        Raises DataError for a video that can't be read.
        """
        facts = probe_video(segment.video)
        frames, step, count = sampled(segment.video, self.config.frames_per_s)
        if not frames:
            return {"frames": 0, "announced": facts.frames}
        labels = self.classifier.predict(self.embed(frames))
        rate = facts.rate or RATE
        verdict = judge(labels, step, count, rate, self.config)
        for begin, end in verdict.runs:
            _cut(segment, rate, self.folder / stretch_name(segment, begin), begin, end)
        return {"share": verdict.share, "runs": verdict.runs, "frames": count, "announced": facts.frames, "rate": rate}


def stretch_name(segment: Segment, begin: int) -> str:
    """Return the name of a stretch of a recording."""
    return f"{segment.name}-{begin:07d}"


def _cut(segment: Segment, rate: float, target: Path, begin: int, end: int) -> None:
    """Write frames begin..end of a video of `rate` a second, and its lines where it has any. target: without suffix.

    Raises DataError for a video that no longer holds frame `begin`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    frames = islice(read_frames(segment.video, start=begin), end - begin)
    first = next(frames, None)
    if first is None:
        raise DataError(f"{segment.video} ends before frame {begin}, which was read before.")
    with whole(target.with_name(f"{target.name}.mp4")) as path, VideoWriter(path, first.shape[:2], rate) as writer:
        for frame in chain([first], frames):
            writer.write(frame)
    if segment.lines is not None:
        lines = segment.lines.read_text("utf-8-sig", errors="replace").split("\n")[begin:end]
        write_whole(target.with_name(f"{target.name}.jsonl"), "\n".join(lines) + "\n")


def _recordings(run: Run, use: UseData) -> RecordingsData:
    data = recordings_of("vpt/clean", use, run)
    data.locate(run.workspace, run)
    return data


class Clean:
    """Stage `vpt/clean`."""

    def __call__(self, config: CleanConfig, run: Run) -> None:
        """Classify frames, keep clean stretches; the artifact "data" holds them, the report says how many hours are left.

        Raises DataError when nothing is left.
        """
        data, good = _recordings(run, config.data), _recordings(run, config.clean)
        cleaner = Cleaner(config, embedding(config.embedding), run.ledger(WORK).folder)
        generator = numpy_generator(run.seed("examples"))
        examples = cleaner.examples(good, generator)
        if config.other is not None:
            others = cleaner.examples(_recordings(run, config.other), generator)
        else:
            others = [with_artefacts(frame, generator) for frame in examples]
        accuracy = cleaner.train(examples, others)
        told = list(finished_videos(run, "cleaning", data.segments(), cleaner.clean, cleaner.problems))
        tell_problems(run, cleaner.problems)
        fields = ("share", "runs", "frames", "rate")
        verdicts = [(segment, Verdict(*(video[name] for name in fields))) for segment, video in told]
        names = [stretch_name(segment, begin) for segment, verdict in verdicts for begin, _ in verdict.runs]
        run.report("clean", _report(verdicts, accuracy, cleaner.problems))
        if not names:
            raise DataError(
                f"No clean stretch of {config.least_s:g} s is left of {len(verdicts)} videos; look at the report's shares, "
                "lower least_share or least_s, or give other examples."
            )
        leave_recordings(run, names, data.config)

    def plan(self, config: CleanConfig, run: Run) -> Sequence[str]:
        """Say how many videos there are, where they are there already. Raises UsageError for other data."""
        named = {"data": config.data, "clean": config.clean, "other": config.other}
        found = {key: segments_there("vpt/clean", use, run) for key, use in named.items() if use is not None}
        return [f"{key}: {len(segments)} videos" for key, segments in found.items() if segments]


clean = Clean()


def _hours(verdicts: Sequence[tuple[Segment, Verdict]], frames: Callable[[Verdict], int]) -> float:
    """Return how long some frames of each video last at its own rate."""
    return sum(frames(verdict) / verdict.rate for _, verdict in verdicts) / 3600


def _report(verdicts: Sequence[tuple[Segment, Verdict]], accuracy: float, problems: ReadingProblems) -> Evaluation:
    seen = sum(verdict.frames for _, verdict in verdicts)
    kept = sum(end - begin for _, verdict in verdicts for begin, end in verdict.runs)
    metrics = {
        "classifier_accuracy": Metric(accuracy, len(verdicts), "higher"),
        "hours_seen": Metric(_hours(verdicts, lambda verdict: verdict.frames), seen, unit="h"),
        "hours_kept": Metric(_hours(verdicts, lambda verdict: sum(e - b for b, e in verdict.runs)), kept, unit="h"),
        "share_kept": Metric(kept / max(seen, 1), seen),
        "left_out": Metric(float(sum(problems.counts.values())), len(verdicts)),
    }
    rows = [[s.name, v.frames, v.share, len(v.runs), sum(e - b for b, e in v.runs)] for s, v in verdicts[:200]]
    table = Table(["video", "frames", "share clean", "stretches", "frames kept"], rows, problems.summary())
    return Evaluation(metrics, {"videos": table})
