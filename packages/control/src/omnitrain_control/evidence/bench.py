"""Batches of windows out of mapped trajectories, beside a loop that slices and pads each window."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from time import process_time

import numpy as np

from omnitrain.api import Bar, Bench
from omnitrain_control.episodes import EpisodeStore, EpisodeWriter
from omnitrain_control.trajectories import Arrays, Trajectories
from omnitrain_control.windows import drawn_steps

EPISODES, STEPS, WIDTH, ACTIONS, SIZE, BATCH, BATCHES = 200, 200, 39, 4, 5, 256, 20


def _store(folder: Path) -> EpisodeStore:
    generator = np.random.default_rng(0)
    with EpisodeWriter(folder) as writer:
        for _ in range(EPISODES):
            writer.add(
                {
                    "observations": generator.normal(size=(STEPS, WIDTH)).astype(np.float32),
                    "actions": generator.uniform(-1, 1, (STEPS, ACTIONS)).astype(np.float32),
                    "rewards": generator.normal(size=STEPS).astype(np.float32),
                }
            )
    return EpisodeStore(folder)


def sliced_windows(store: EpisodeStore, returns: np.ndarray, episodes: np.ndarray, starts: np.ndarray, size: int) -> Arrays:
    """Return what `Trajectories.windows` returns, window by window."""
    rows: dict[str, list[np.ndarray]] = {}
    for episode, start in zip(episodes.tolist(), starts.tolist(), strict=True):
        begin, end = int(store.offsets[episode]), int(store.offsets[episode + 1])
        length = end - begin
        stop = min(start + size, length)
        missing = size - (stop - start)
        one = {name: values[begin + start : begin + stop] for name, values in store.fields.items()}
        one["returns_to_go"] = returns[begin + start : begin + stop]
        one["timesteps"] = np.arange(start, stop)
        one["dones"] = one["timesteps"] == length - 1
        one["action_mask"] = np.ones((stop - start, store.fields["actions"].shape[1]), bool)
        one["attention_mask"] = np.ones(stop - start, bool)
        for name, values in one.items():
            empty = np.zeros((missing, *values.shape[1:]), values.dtype)
            rows.setdefault(name, []).append(np.concatenate([empty, values]))
    return {name: np.stack(values) for name, values in rows.items()}


def benches() -> list[Bench]:
    """Return the bench of windows."""
    store = _store(Path(tempfile.mkdtemp(prefix="omnitrain-bench-")))
    found = Trajectories([store])
    draws = [found.place(drawn_steps(found.steps, BATCH, 0, number)) for number in range(BATCHES)]
    returns = found.returns_to_go(np.arange(EPISODES), np.tile(np.arange(STEPS), (EPISODES, 1))).reshape(-1)

    def rate(windows: Callable[[np.ndarray, np.ndarray], Arrays]) -> Callable[[], float]:
        def measure() -> float:
            began = process_time()
            for episodes, starts in draws:
                windows(episodes, starts)
            return BATCH * BATCHES / (process_time() - began) / 1e3

        return measure

    return [
        Bench(
            name="windows of trajectories",
            summary=f"{BATCH} windows of {SIZE} steps, {WIDTH} numbers and {ACTIONS} actions, with masks and returns to go.",
            unit="k windows/s",
            ours="one gather",
            variants={
                "one gather": rate(lambda episodes, starts: found.windows(episodes, starts, SIZE)),
                "slice and pad each": rate(lambda episodes, starts: sliced_windows(store, returns, episodes, starts, SIZE)),
            },
            higher_is_better=True,
            bars=(Bar("slice and pad each", 20.0),),
        )
    ]
