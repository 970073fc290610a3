"""What a resumed run pays before its first step: the place in the data, and the checkpoint read and verified."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice

import numpy as np
import torch

from omnitrain.api import BatchPlan
from omnitrain.api.bench import Bar, Bench
from omnitrain.benches.checkpoint import large_state
from omnitrain.benches.data import LENGTH, ROWS, Items, TokenRows
from omnitrain.benches.language_model import one_thread, scratch
from omnitrain.engine.batches import make_feed
from omnitrain.engine.checkpoints import Checkpoints

UPDATES = 400


def place_bench() -> Bench:
    """Time to the first batch after `UPDATES` updates, from the saved state or by reading up to there."""
    tokens = np.random.default_rng(0).integers(0, 50_000, (UPDATES + 100) * ROWS * LENGTH).astype(np.uint16)
    data = TokenRows(tokens)

    def after(updates: int) -> Callable[[], float]:
        feed = make_feed(data, "train", BatchPlan(ROWS, 0))
        for _ in range(updates):
            feed.next()
        state = feed.state_dict()

        def measure() -> float:
            started = time.perf_counter()
            fresh = make_feed(data, "train", BatchPlan(ROWS, 0))
            fresh.load_state_dict(state)
            fresh.next()
            return (time.perf_counter() - started) * 1e3

        return measure

    def skipping() -> float:
        started = time.perf_counter()
        order = torch.Generator().manual_seed(0)
        loader = torch.utils.data.DataLoader(Items(data.rows), batch_size=ROWS, shuffle=True, generator=order)
        next(islice(loader, UPDATES, None))
        return (time.perf_counter() - started) * 1e3

    return Bench(
        name="place in the data on resume",
        summary=f"Time to the first batch of {ROWS} x {LENGTH} after {UPDATES} updates.",
        unit="ms",
        ours="omnitrain",
        variants={
            "omnitrain": one_thread(after(UPDATES)),
            "omnitrain after 1 update": one_thread(after(1)),
            "DataLoader read up to the place": one_thread(skipping),
        },
        bars=(Bar("omnitrain after 1 update", 0.5), Bar("DataLoader read up to the place", 20.0)),
    )


def load_bench() -> Bench:
    """Wall time to read a checkpoint whose checksum is verified first, beside torch.load of the same state."""
    state = large_state()
    folder = scratch()
    checkpoints = Checkpoints(folder / "ours", "bench", background=False)
    checkpoints.save(1, state)
    torch.save(state, folder / "torch.pt")

    def ours() -> float:
        started = time.perf_counter()
        restored = checkpoints.load()
        assert restored is not None
        return (time.perf_counter() - started) * 1e3

    def torch_load() -> float:
        started = time.perf_counter()
        torch.load(folder / "torch.pt", weights_only=True)
        return (time.perf_counter() - started) * 1e3

    return Bench(
        name="checkpoint of 120 MiB read on resume",
        summary="Wall time until the newest checkpoint is found, its SHA-256 verified and its tensors read.",
        unit="ms",
        ours="omnitrain, verified",
        variants={"omnitrain, verified": one_thread(ours), "torch.load, unverified": one_thread(torch_load)},
    )
