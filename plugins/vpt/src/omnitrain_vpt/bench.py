"""Speed: training on chunks, acting at constant cost, decoding beside training, episodes on kept worlds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import crafter  # type: ignore[import-untyped]
import numpy as np
import torch

from omnitrain.api import BatchPlan
from omnitrain.api.bench import Bar, Bench
from omnitrain_control.video import read_frames
from omnitrain_vpt.clips import Reader, StreamedClips
from omnitrain_vpt.configs import PolicyConfig, RecordingsConfig, WorldConfig
from omnitrain_vpt.data import StreamedRecordings
from omnitrain_vpt.frames import pointer
from omnitrain_vpt.minecraft import LineWriter
from omnitrain_vpt.model import policy_architecture
from omnitrain_vpt.network.heads import log_prob
from omnitrain_vpt.network.policy import MinecraftPolicy
from omnitrain_vpt.playing import make_interface
from omnitrain_vpt.recordings import Problems, ReadingRules, find_segments, write_segment
from omnitrain_vpt.world.players import environment_action

STEPS = 64
ROWS = 4
SIDE = 36


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="omnitrain-vpt-bench-"))


@cache
def _policy() -> MinecraftPolicy:
    torch.manual_seed(0)
    return MinecraftPolicy(policy_architecture(PolicyConfig(size="mini", timesteps=STEPS))[0])


def _frames(steps: int) -> torch.Tensor:
    return torch.randint(0, 256, (ROWS, steps, SIDE, SIDE, 3), dtype=torch.uint8)


def _train(length: int) -> Callable[[], float]:
    """Frames a second of cloning, `length` frames to a forward pass and an update per pass."""

    def measure() -> float:
        policy, img = _policy(), _frames(STEPS)
        optimiser = torch.optim.SGD(policy.parameters(), lr=0.0)
        nothing = torch.zeros(ROWS, dtype=torch.bool)
        actions = {name: torch.zeros(ROWS, length, 1, dtype=torch.long) for name in ("buttons", "camera")}
        state, done = policy.initial_state(ROWS), 0
        begin = process_time()
        for start in range(0, STEPS if length > 1 else STEPS // 8, length):
            output = policy(img[:, start : start + length], nothing, state)
            state = {name: value.detach() for name, value in output.state.items()}
            (-log_prob(output.log_probs, actions)).mean().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            optimiser.zero_grad()
            done += ROWS * length
        return done / (process_time() - begin)

    return measure


def _act(before: int) -> Callable[[], float]:
    """Milliseconds of one step of acting after so many steps of the episode."""

    @torch.no_grad()
    def measure() -> float:
        policy, img = _policy(), _frames(1)
        nothing = torch.zeros(ROWS, dtype=torch.bool)
        state = policy.initial_state(ROWS)
        for _ in range(before):
            state = policy(img, nothing, state).state
        begin = process_time()
        for _ in range(10):
            state = policy(img, nothing, state).state
        return (process_time() - begin) * 100

    return measure


def _long(before: int) -> Callable[[], float]:
    """Milliseconds of one step that runs over the whole episode again, as without a memory."""

    @torch.no_grad()
    def measure() -> float:
        policy, img = _policy(), _frames(before)
        begin = process_time()
        policy(img, torch.zeros(ROWS, dtype=torch.bool), policy.initial_state(ROWS))
        return (process_time() - begin) * 1000

    return measure


@cache
def _recordings() -> Path:
    folder = _folder() / "recordings"
    scene = np.random.default_rng(0).integers(0, 256, (1, 18, 32, 3)).astype(np.uint8).repeat(10, 1).repeat(10, 2)
    frames = np.concatenate([np.roll(scene, 3 * step, 2) for step in range(100)])
    for number in range(ROWS):
        writer = LineWriter()
        write_segment(folder, f"8.0/{number}", frames, [writer(["forward"], (0.0, 0.0)) for _ in frames])
    return folder


def _decode_alone() -> float:
    begin = perf_counter()
    count = sum(1 for segment in find_segments(_recordings(), None, Problems()) for _ in read_frames(segment.video, "bgr24"))
    return count / (perf_counter() - begin)


def _decode_ahead() -> float:
    """Frames a second of streams that decode one chunk ahead while the last one is used."""
    data = StreamedRecordings(RecordingsConfig(path=str(_recordings()), image_size=SIDE, steps=25, valid_fraction=0.0))
    reader = Reader(ReadingRules(), "quantised", SIDE, pointer(None), None, False)
    clips = StreamedClips(data.segments(), reader, Problems())
    data.use_clips(clips)
    begin, count = perf_counter(), 0
    for batch in data.batches("train", BatchPlan(2, 0, train=False)):
        count += int(batch["loss_weights"].sum())
    return count / (perf_counter() - begin)


EPISODE = 100


def _plain_episode() -> float:
    """Episodes a second of the plain package: a new world, then steps, everything drawn."""
    environment = crafter.Env(size=(72, 72), seed=0)
    begin = process_time()
    environment.reset()
    for step in range(EPISODE):
        environment.step(step % 5)
    return 1 / (process_time() - begin)


def _kept_episode() -> Callable[[], float]:
    """Episodes a second on kept worlds, the same area, monsters and nights, frames resized."""
    world = WorldConfig(area=64, worlds=1, cell=8, calm=False, steps=EPISODE)
    interface: list[Any] = []
    moves = [environment_action(pressed, (0.0, 0.0)) for pressed in ([], ["left"], ["right"], ["forward"], ["back"])]

    def measure() -> float:
        if not interface:
            interface.append(make_interface(world, _folder() / "worlds"))
            interface[0].reset(seed=0)
        begin = process_time()
        for seed in range(3):
            interface[0].reset(seed=seed)
            for step in range(EPISODE):
                interface[0].step(moves[step % 5])
        return 3 / (process_time() - begin)

    return measure


def benches() -> list[Bench]:
    """All benches."""
    torch.set_num_threads(1)
    chunk, single = f"chunks of {STEPS}", "one frame a pass"
    return [
        Bench(
            "cloning", "the same network, frames of one core", "frames/s", chunk, {chunk: _train(STEPS), single: _train(1)},
            higher_is_better=True, bars=(Bar(single, 5.0),), rounds=3,
        ),
        Bench(
            "acting", "one step of 4 environments, 256 steps into the episode", "ms", "with memory",
            {"with memory": _act(256), "over the episode again": _long(256)}, rounds=3,
            bars=(Bar("over the episode again", 5.0),),
        ),
        Bench(
            "acting, cost over time", "one step after 256 steps beside one after 8", "ms", "after 256 steps",
            {"after 256 steps": _act(256), "after 8 steps": _act(8)}, bars=(Bar("after 8 steps", 0.7),), rounds=3,
        ),
        Bench(
            "decoding beside training", "320x180 video, decoded, resized and put into batches", "frames/s", "streams",
            {"streams": _decode_ahead, "decoding alone": _decode_alone}, higher_is_better=True,
            bars=(Bar("decoding alone", 0.7),), rounds=3,
        ),
        Bench(
            "episodes", f"episodes of {EPISODE} steps in crafter's own world, one process", "episodes/s", "kept worlds",
            {"kept worlds": _kept_episode(), "plain crafter": _plain_episode}, higher_is_better=True,
            bars=(Bar("plain crafter", 4.0),), rounds=3,
        ),
    ]  # fmt: skip
