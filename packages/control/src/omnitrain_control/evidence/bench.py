"""Windows out of mapped trajectories beside a loop over them, and a fleet of several games beside one environment at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import process_time
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np

from omnitrain.api import Bar, Bench
from omnitrain_control.configs.models import MlpConfig
from omnitrain_control.episodes import EpisodeStore, EpisodeWriter
from omnitrain_control.fleets import Fleet
from omnitrain_control.models.mlp import build
from omnitrain_control.rollouts import play_episodes
from omnitrain_control.trajectories import Arrays, Trajectories
from omnitrain_control.windows import drawn_steps

GAMES = 50
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


class Steering(gymnasium.Env[np.ndarray, np.ndarray]):
    """A point that is steered to a goal of the game's own, in 100 steps. goal: tells the games apart."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (WIDTH,), np.float64)
    action_space = gymnasium.spaces.Box(-1, 1, (ACTIONS,), np.float32)

    def __init__(self, goal: float) -> None:
        self.goal, self.time, self.seen = goal, 0, np.zeros(WIDTH)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin somewhere."""
        super().reset(seed=seed)
        self.time, self.seen = 0, self.np_random.normal(size=WIDTH)
        return self.seen, {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Move."""
        self.time += 1
        self.seen = self.seen.copy()
        self.seen[:ACTIONS] += 0.1 * action
        return self.seen, -abs(float(self.seen[0]) - self.goal), False, self.time == 100, {}


def mixed_fleet() -> Bench:
    """Return the bench of a fleet of several games, played by one model, beside the same with one environment at a time."""
    makers = [partial(Steering, float(game)) for game in range(GAMES)]
    sizes = MlpConfig(observation_size=WIDTH, choices=ACTIONS, classes=64, width=256, layers=3)
    model = build(sizes, SimpleNamespace(facts={}))  # all that it asks of a context

    def play(fleets: Sequence[Sequence[partial[Steering]]]) -> Callable[[], float]:
        def measure() -> float:
            began, steps = process_time(), 0
            for part in fleets:
                with Fleet(part, 1, 0, check=False) as fleet:
                    played = play_episodes(fleet, model.player(fleet, None, None), len(part))
                steps += sum(episode["length"] for episode in played)
            return steps / (process_time() - began) / 1e3

        return measure

    return Bench(
        name="fleet of several games",
        summary=f"{GAMES} games played by one perceptron of 3 layers of 256: episodes of 100 steps, {WIDTH} numbers seen.",
        unit="k steps/s",
        ours="one fleet",
        variants={"one fleet": play([makers]), "one environment at a time": play([[maker] for maker in makers])},
        higher_is_better=True,
        bars=(Bar("one environment at a time", 5.0),),
    )


def benches() -> list[Bench]:
    """Return the benches of windows and of fleets."""
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
        ),
        mixed_fleet(),
    ]
