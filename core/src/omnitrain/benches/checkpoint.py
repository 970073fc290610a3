"""How long a checkpoint holds the loop, beside torch.save of the same state."""

from __future__ import annotations

import shutil
import time

import torch

from omnitrain.api.bench import Bar, Bench
from omnitrain.benches.language_model import one_thread, scratch
from omnitrain.engine.checkpoints import Checkpoints

MEBIBYTES = 120


def large_state() -> dict[str, dict[str, torch.Tensor]]:
    """Return a state of 120 MiB."""
    return {"model": {f"layer{i}": torch.randn(256, 1024) for i in range(MEBIBYTES)}}


def checkpoint_bench() -> Bench:
    """Wall time of the loop's wait for a checkpoint of 120 MiB."""
    state = large_state()
    folder = scratch()
    checkpoints = Checkpoints(folder / "ours", "bench")
    count = iter(range(1, 10**9))

    def behind() -> float:
        started = time.perf_counter()
        checkpoints.save(next(count), state)
        waited = time.perf_counter() - started
        checkpoints.wait()
        return waited * 1e3

    def torch_save() -> float:
        path = folder / "torch.pt"
        started = time.perf_counter()
        torch.save(state, path)
        waited = time.perf_counter() - started
        path.unlink()
        return waited * 1e3

    def whole() -> float:
        """The whole of it: written, checksummed, forced to disk."""
        plain = Checkpoints(folder / "plain", "bench", background=False)
        started = time.perf_counter()
        plain.save(1, state)
        waited = time.perf_counter() - started
        shutil.rmtree(folder / "plain")
        return waited * 1e3

    return Bench(
        name="checkpoint of 120 MiB",
        summary="Wall time that the loop waits for a checkpoint.",
        unit="ms",
        ours="omnitrain, written behind",
        variants={
            "omnitrain, written behind": one_thread(behind),
            "torch.save": one_thread(torch_save),
            "omnitrain, until it is safe on disk": one_thread(whole),
        },
        bars=(Bar("torch.save", 2.0),),
    )
