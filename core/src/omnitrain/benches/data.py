"""Batches out of a token file: one gather, beside a DataLoader over items."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch

from omnitrain.api import Batch, BatchPlan
from omnitrain.api.bench import Bar, Bench
from omnitrain.benches.language_model import scratch
from omnitrain.engine.batches import make_feed

TOKENS, LENGTH, ROWS = 4_000_000, 128, 64
BATCHES = 100


class TokenRows:
    """Rows of a memory-mapped token file."""

    batch: Mapping[str, str] = {"input_ids": "int64[batch, length]"}
    fingerprint = "0" * 16

    def __init__(self, tokens: np.ndarray) -> None:
        self.rows = tokens.reshape(-1, LENGTH)

    def splits(self) -> list[str]:
        """Name the only split."""
        return ["train"]

    def examples(self, split: str) -> np.ndarray:
        """Return the rows."""
        return self.rows

    def collate(self, examples: Sequence[np.ndarray]) -> Batch:
        """Stack rows."""
        return {"input_ids": torch.from_numpy(np.stack(examples).astype(np.int64))}

    def gather(self, split: str, rows: np.ndarray) -> Batch:
        """Return rows in one gather."""
        return {"input_ids": torch.from_numpy(self.rows[rows].astype(np.int64))}


class Items(torch.utils.data.Dataset[torch.Tensor]):
    """The same rows one by one, as a DataLoader wants them."""

    def __init__(self, rows: np.ndarray) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(self.rows[index].astype(np.int64))


def _ours(data: TokenRows) -> float:
    feed = make_feed(data, "train", BatchPlan(ROWS, 0))
    feed.next()
    started = time.process_time()
    for _ in range(BATCHES):
        feed.next()
    return BATCHES * ROWS * LENGTH / (time.process_time() - started) / 1e6


def _loader(data: TokenRows) -> float:
    loader = iter(torch.utils.data.DataLoader(Items(data.rows), batch_size=ROWS, shuffle=True))
    next(loader)
    started = time.process_time()
    for _ in range(BATCHES):
        next(loader)
    return BATCHES * ROWS * LENGTH / (time.process_time() - started) / 1e6


def batches_bench() -> Bench:
    """Tokens a second of shuffled batches from a memory-mapped file."""
    path = scratch() / "tokens.npy"
    np.save(path, np.random.default_rng(0).integers(0, 50_000, TOKENS).astype(np.uint16))
    data = TokenRows(np.load(path, mmap_mode="r"))
    return Bench(
        name="batches out of a token file",
        summary=f"Shuffled batches of {ROWS} x {LENGTH} from a memory-mapped file, one process.",
        unit="M tokens/s",
        ours="omnitrain",
        variants={"omnitrain": partial(_ours, data), "DataLoader over items": partial(_loader, data)},
        higher_is_better=True,
        bars=(Bar("DataLoader over items", 10.0),),
    )
