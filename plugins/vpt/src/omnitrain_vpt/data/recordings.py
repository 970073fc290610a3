"""Data `vpt/recordings`: contractor recordings as windows (IDM) or as streams of chunks (cloning)."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from omnitrain.api import Batch, BatchPlan, Context, Fields, Piece, Run, UseData, numpy_generator
from omnitrain.engine import build_once, file_digest, input_digests
from omnitrain.errors import DataError, Unreachable, UsageError
from omnitrain_control.cache import digest
from omnitrain_control.problems import SHOWN
from omnitrain_control.windows import window_steps
from omnitrain_vpt import __version__
from omnitrain_vpt.configs.data import RecordingsConfig
from omnitrain_vpt.data.augment import augmented
from omnitrain_vpt.data.stream import ChunkStream
from omnitrain_vpt.paper.actions import to_factored
from omnitrain_vpt.paper.minecraft import BUTTONS
from omnitrain_vpt.recordings.clips import CachedClips, Clips, Reader, StreamedClips, build_cache
from omnitrain_vpt.recordings.format import RATE, ReadingProblems, ReadingRules, Segment, find_segments
from omnitrain_vpt.recordings.frames import pointer
from omnitrain_vpt.recordings.rates import commonest, same_rate
from omnitrain_vpt.world.environments import worlds_folder
from omnitrain_vpt.world.recording import record_clips

BUILTIN = "builtin"
_DECODED = "frames, actions and rates"
"""What a folder of decoded recordings holds; another text where that changes."""
_BUILTIN_SEED = 20220623
_FRAMES = {"frames": "uint8[batch, time, height, width, 3]", "loss_weights": "float32[batch, time]"}
WINDOW_FIELDS: Fields = {**_FRAMES, "buttons": "int64[batch, time, 20]", "camera": "int64[batch, time, 2]"}
STREAM_FIELDS: Fields = {
    **_FRAMES,
    "first": "bool[batch]",
    "joint_buttons": "int64[batch, time, 1]",
    "joint_camera": "int64[batch, time, 1]",
}
log = logging.getLogger(__name__)


def _place(name: str) -> float:
    """A number in 0..1 that a recording's name decides, so that more recordings do not change it."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=6).digest(), "big") / 2**48


def held_out(names: Sequence[str], fraction: float) -> list[int]:
    """Return which recordings are in "valid": at least one of several, unless the fraction is 0."""
    if not fraction or len(names) < 2:
        return []
    places = [_place(name) for name in names]
    found = [number for number, place in enumerate(places) if place < fraction]
    found = found if len(found) < len(names) else found[:-1]
    return found or [places.index(min(places))]


def _shuffled_rank(name: str) -> bytes:
    return hashlib.blake2b(b"order/" + name.encode(), digest_size=8).digest()


class RecordingsData:
    """Recordings; see `RecordingsConfig`. Prepare it before examples are asked for."""

    def __init__(self, config: RecordingsConfig) -> None:
        self.config = config
        self.batch: Fields = WINDOW_FIELDS if config.layout == "windows" else STREAM_FIELDS
        self.found = ReadingProblems()
        self._segments: list[Segment] | None = None
        self._files: str | None = None
        self.clips: Clips | None = None
        self._by_split: dict[str, list[int]] = {}
        self._windows: dict[str, list[tuple[int, int]]] = {}
        self._recorded = Path(BUILTIN)
        self.problems = ""
        self.rate = float(RATE)

    @property
    def folder_or_index(self) -> Path:
        """Where the recordings are; for "builtin" known once prepared."""
        return self._recorded if self.config.path == BUILTIN else Path(self.config.path)

    @property
    def fingerprint(self) -> str:
        """Hash of the files and of the settings."""
        if self._files is None:
            if self.config.path == BUILTIN:
                self._files = f"{BUILTIN} {__version__} {self.config.builtin.model_dump_json()}"
            else:
                segments = self.segments()
                paths = [p for s in segments for p in (s.video, s.lines) if p is not None]
                self._files = digest([[s.name for s in segments], [file_digest(p) for p in paths]])
        settings = self.config.model_dump(exclude={"path", "base", "elsewhere", "builtin", "threads", "cache"})
        return digest([self._files, settings, *self._pointer()])

    def _pointer(self) -> list[dict[str, str]]:
        """Return the content of the picture that is painted, where the settings name one."""
        found = input_digests(self.config.reading)
        return [found] if found else []

    def segments(self) -> list[Segment]:
        """Return the recordings, in the order of their names.

        Raises DataError where there are none.
        """
        if self._segments is None:
            base = Path(self.config.base) if self.config.base is not None else None
            if self.config.elsewhere and not self.folder_or_index.exists():
                raise Unreachable(f"{self.folder_or_index} is not on this machine.")
            self._segments = find_segments(self.folder_or_index, base, self.found)
        return self._segments

    def locate(self, workspace: Path, context: Context) -> None:
        """Make sure that the recordings are there: plays and records those of "builtin" on first use."""
        if self.config.path != BUILTIN:
            return
        play = self.config.builtin
        target = workspace / f"vpt-builtin-{digest([__version__, play.model_dump()])}"

        def build(path: Path) -> None:
            with context.progress("playing and recording", play.clips) as bar:
                record_clips(path, play, worlds_folder(workspace), _BUILTIN_SEED, each=bar.advance)

        self._recorded = build_once(target, build)
        self._segments = None

    @property
    def nulls(self) -> str:
        """Which null actions are dropped."""
        if self.config.nulls != "auto":
            return self.config.nulls
        return "keep" if self.config.layout == "windows" else "quantised"

    def reader(self) -> Reader:
        """Return what reads the recordings."""
        config = self.config
        how = config.reading
        rules = ReadingRules(how.escape_closes_inventory, how.legacy_int_camera, how.gui_factors)
        picture = pointer(how.cursor)
        return Reader(rules, self.nulls, config.image_size, picture, config.max_frames, how.broken == "refuse")

    def prepare(self, workspace: Path, context: Context) -> None:
        """Find the recordings and decode them into the workspace, or find that done.

        Raises DataError when no recording can be used.
        """
        self.locate(workspace, context)
        segments, reader, config = self.segments(), self.reader(), self.config
        if config.cache:
            # The decoded frames do not depend on how they are cut and drawn later.
            kept = (config.image_size, self.nulls, config.max_frames, config.reading.model_dump(), *self._pointer())
            target = workspace / f"vpt-frames-{digest([__version__, _DECODED, self._content(), kept])}"
            with context.progress("decoding", len(segments)) as bar:
                build_cache(target, segments, reader, config.threads, self.found, bar.advance)
            cached = CachedClips(target)
            clips: Clips = cached
            problems = cached.problems
        else:
            streamed = StreamedClips(segments, reader, self.found)
            clips, problems = streamed, streamed.problems
        rate = commonest((track.rate for track in clips.tracks), RATE)
        others = [name for name, track in zip(clips.names, clips.tracks, strict=True) if not same_rate(track.rate, rate)]
        if others:
            told = f"{len(others)} of {len(clips.names)} recordings don't have the {rate:g} frames a second that most have"
            problems = "; ".join(
                [*([problems] if problems else []), f"taken as they are: {told} ({', '.join(others[:SHOWN])})"]
            )
        self.rate = rate
        if problems:
            log.warning("%s: left out: %s", self.folder_or_index, problems)
        self.problems = problems
        self.use_clips(clips)

    def use_clips(self, clips: Clips) -> None:
        """Take decoded recordings, as `prepare` does."""
        self.clips = clips
        self._split(clips)

    def _content(self) -> str:
        _ = self.fingerprint
        return str(self._files)

    def _split(self, clips: Clips) -> None:
        numbers = range(len(clips.names))
        valid = held_out(clips.names, self.config.valid_fraction)
        train = [i for i in numbers if i not in set(valid)]
        if self.config.max_clips is not None:
            train = sorted(sorted(train, key=lambda i: _shuffled_rank(clips.names[i]))[: self.config.max_clips])
        self._by_split = {"train": train, **({"valid": valid} if valid else {})}

    def ready(self) -> Clips:
        """Return the clips.

        Raises RuntimeError before they were prepared.
        """
        if self.clips is None:
            raise RuntimeError("vpt/recordings was not prepared yet")
        return self.clips

    def splits(self) -> Sequence[str]:
        """Name the splits: "train", and "valid" where a recording fell into it."""
        return list(self._by_split) if self._by_split else ["train", "valid"]

    def clip_numbers(self, split: str) -> list[int]:
        """Return the numbers of a split's clips.

        Raises DataError for a split that there is not.
        """
        if split not in self._by_split:
            raise DataError(f"{self.folder_or_index} has no split {split!r}; there are {', '.join(self._by_split)}.")
        return self._by_split[split]

    def collate(self, examples: Sequence[Batch]) -> Batch:
        """Stack windows, or rows of streams."""
        join = torch.stack if self.config.layout == "windows" else torch.cat
        return {name: join([example[name] for example in examples]) for name in self.batch}

    def facts(self) -> Mapping[str, Any]:
        """Tell what was left out and why, for the model's record, and how many frames are a second for it."""
        config = self.config
        return {"image_size": config.image_size, "steps": config.steps, "left_out": self.problems, "rate": self.rate}

    def explain(self, batch: Batch, row: int) -> Mapping[str, Sequence[Piece]]:
        """Show the actions of a row as text, frame by frame."""
        if self.config.layout == "windows":
            buttons, camera = batch["buttons"][row].numpy(), batch["camera"][row].numpy()
        else:
            joint = (batch[name][row, :, 0].numpy() for name in ("joint_buttons", "joint_camera"))
            buttons, camera = to_factored(*joint)
        weights = batch["loss_weights"][row].tolist()
        pieces = []
        for pressed, bins, weight in zip(buttons, camera, weights, strict=True):
            names = [name for name, on in zip(BUTTONS, pressed, strict=True) if on]
            text = f"{'+'.join(names) or '.'}({int(bins[0]) - 5},{int(bins[1]) - 5}) "
            pieces.append(Piece(text, "loss" if weight else "padding"))
        return {"actions (camera bins from rest)": pieces}


class WindowedRecordings(RecordingsData):
    """Recordings as independent windows of all frames."""

    def examples(self, split: str) -> Sequence[tuple[int, int]]:
        """Return the windows (clip, start) of a split, one behind the other; the last may reach beyond its clip."""
        if split not in self._windows:
            clips, steps = self.ready(), self.config.steps
            self._windows[split] = [
                (clip, start)
                for clip in self.clip_numbers(split)
                for start in range(0, max(1, len(clips.tracks[clip]) - steps // 2), steps)
            ]
        return self._windows[split]

    def example(self, split: str, index: int, seed: int) -> Batch:
        """Return window `index`, its start moved and its frames augmented by draws from `seed` (training only)."""
        clip, start = self.examples(split)[index]
        track, steps = self.ready().tracks[clip], self.config.steps
        generator = numpy_generator(seed)
        latest = max(0, len(track) - steps)
        if split == "train":
            start = int(np.clip(start + generator.integers(-steps // 2, steps // 2 + 1), 0, latest))
        window = self.window(clip, min(start, latest))
        if split == "train" and self.config.augment is not None:
            window["frames"] = torch.from_numpy(augmented(window["frames"].numpy(), self.config.augment, generator))
        return window

    def window(self, clip: int, start: int) -> Batch:
        """Return the window of a clip that begins at a row; a shorter clip repeats its last frame, without weight."""
        clips, steps = self.ready(), self.config.steps
        track = clips.tracks[clip]
        (rows,), (real,) = window_steps(np.array([start]), np.array([len(track)]), steps, pad="right")
        frames = clips.frames(clip, start, min(start + steps, len(track)))[rows - start]
        return {
            "frames": torch.from_numpy(frames),
            "buttons": torch.from_numpy(track.buttons[rows].astype(np.int64)),
            "camera": torch.from_numpy(track.bins[rows]),
            "loss_weights": torch.from_numpy(real.astype(np.float32)),
        }


class StreamedRecordings(RecordingsData):
    """Recordings whose batches go on row by row."""

    def batches(self, split: str, plan: BatchPlan) -> ChunkStream:
        """Return the chunks of a split; each row stays with its clip to the clip's end."""
        numbers = self.clip_numbers(split)
        if not numbers:
            raise DataError(f"The split {split!r} has no clips.")
        return self.chunks(numbers, plan)

    def chunks(self, numbers: Sequence[int], plan: BatchPlan) -> ChunkStream:
        """Return the chunks of some clips."""
        return ChunkStream(self.ready(), numbers, self.config.steps, self.config.image_size, plan)

    def examples(self, split: str) -> Iterator[Batch]:
        """Yield the chunks of every clip once, one row each."""
        return iter(self.batches(split, BatchPlan(1, 0, train=False)))


def recordings_of(stage: str, use: UseData, run: Run) -> RecordingsData:
    """Build recordings that a stage reads. Raises UsageError for other data."""
    data = run.build(use)
    if not isinstance(data, RecordingsData):
        raise UsageError(f"{stage} reads vpt/recordings, not {type(data).__name__}.")
    return data


def segments_there(stage: str, use: UseData, run: Run) -> list[Segment]:
    """Return the recordings that a stage will read as far as they are there before it runs, for its ability `PlansStage`.

    Raises UsageError for other data, DataError where there are none.
    """
    if use.source is not None:
        return []
    data = recordings_of(stage, use, run)
    return [] if data.config.path == BUILTIN or data.config.elsewhere else data.segments()


def build(config: RecordingsConfig, context: Context) -> RecordingsData:
    """Make the data `vpt/recordings`."""
    return WindowedRecordings(config) if config.layout == "windows" else StreamedRecordings(config)
