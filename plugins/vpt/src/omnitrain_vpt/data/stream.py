"""Streams of chunks: every row of the batch goes on through a clip of its own (section 4.2, app. D)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from omnitrain.api import Batch, BatchPlan, numpy_generator
from omnitrain_vpt.recordings.clips import Clips


class ChunkStream:
    """Chunks of `steps` frames for `batch_size` rows, endless and shuffled for training, else every clip once.

    A row that comes to its clip's end takes the next clip of the epoch's order and says `first`; no clip's tail is lost when
    another row runs dry. The rest of a chunk behind a clip's end repeats the last frame and has no weight. State: the order's
    epoch and position, and (clip, step) of each row. The next chunk is made in a thread while the last one is used.

    numbers: of the clips to go through, of which every process takes its share. size: side of the frames.
    """

    def __init__(self, clips: Clips, numbers: Sequence[int], steps: int, size: int, plan: BatchPlan) -> None:
        self.clips, self.steps, self.size, self.plan = clips, steps, size, plan
        self.numbers = numbers[plan.rank :: plan.world] or numbers
        self.epoch, self.taken = 0, 0
        self.rows: list[tuple[int, int]] = [(-1, 0)] * plan.batch_size
        self._joint: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        self._after: dict[str, Any] | None = None
        self._orders: dict[int, NDArray[np.int64]] = {}

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if epoch not in self._orders:
            order = np.array(self.numbers)
            if self.plan.train:
                numpy_generator(self.plan.seed + 1_000_003 * epoch).shuffle(order)
            self._orders = {epoch: order}
        return self._orders[epoch]

    def _next_clip(self) -> int:
        """Return the next clip of the order; -1 when every clip was taken once and that is all."""
        if self.taken == len(self.numbers):
            if not self.plan.train:
                return -1
            self.epoch, self.taken = self.epoch + 1, 0
        self.taken += 1
        return int(self._order(self.epoch)[self.taken - 1])

    def _advance(self) -> list[tuple[int, int]] | None:
        """Return (clip, step) of each row's next chunk and go past it; None at the end. A row without a clip has -1."""
        tracks = self.clips.tracks
        begun = []
        for row, (clip, step) in enumerate(self.rows):
            if clip < 0 or step >= len(tracks[clip]):
                clip, step = self._next_clip(), 0
            begun.append((clip, step))
            self.rows[row] = (clip, step + self.steps)
        return begun if any(clip >= 0 for clip, _ in begun) else None

    def _make(self, begun: list[tuple[int, int]]) -> Batch:
        steps, size, count = self.steps, self.size, len(begun)
        frames = np.zeros((count, steps, size, size, 3), np.uint8)
        joint = np.zeros((2, count, steps), np.int64)
        weights = np.zeros((count, steps), np.float32)
        for row, (clip, step) in enumerate(begun):
            if clip < 0:
                continue
            if clip not in self._joint:
                self._joint[clip] = self.clips.tracks[clip].joint
            length = min(steps, len(self._joint[clip][0]) - step)
            frames[row, :length] = self.clips.frames(clip, step, step + length)
            frames[row, length:] = frames[row, length - 1]
            for part in (0, 1):
                joint[part, row, :length] = self._joint[clip][part][step : step + length]
            weights[row, :length] = 1.0
        return {
            "frames": torch.from_numpy(frames),
            "loss_weights": torch.from_numpy(weights),
            "first": torch.tensor([step == 0 for _, step in begun]),
            "joint_buttons": torch.from_numpy(joint[0])[..., None],
            "joint_camera": torch.from_numpy(joint[1])[..., None],
            "example_ids": np.array([clip for clip, _ in begun]),
        }

    def _begin(self, pool: ThreadPoolExecutor) -> tuple[Future[Batch], dict[str, Any]] | None:
        """Start making the next batch; return it with the state after it, or None at the end."""
        begun = self._advance()
        return None if begun is None else (pool.submit(self._make, begun), self._present())

    def __iter__(self) -> Iterator[Batch]:
        with ThreadPoolExecutor(1, thread_name_prefix="chunks") as pool:
            ahead = self._begin(pool)
            while ahead is not None:
                making, after = ahead
                batch = making.result()
                ahead = self._begin(pool)
                self._after = after
                yield batch

    def _present(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "taken": self.taken, "rows": np.array(self.rows, np.int64)}

    def state_dict(self) -> dict[str, Any]:
        """Return where the stream stands behind the last batch that was handed out, not behind what is made ahead."""
        return self._present() if self._after is None else self._after

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where that state stood."""
        self.epoch, self.taken = int(state["epoch"]), int(state["taken"])
        self.rows = [(int(clip), int(step)) for clip, step in np.asarray(state["rows"])]
        self._after = None
