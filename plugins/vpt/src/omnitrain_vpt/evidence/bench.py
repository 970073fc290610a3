"""Speed: training on chunks, acting at constant cost, decoding beside training, episodes here and in processes."""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from time import perf_counter, process_time

import crafter  # type: ignore[import-untyped]
import numpy as np
import torch

from omnitrain.api import Bar, BatchPlan, Bench
from omnitrain_control.fleets import Fleet
from omnitrain_control.video import read_frames
from omnitrain_vpt.configs.data import RecordingsConfig, WorldConfig
from omnitrain_vpt.configs.models import PolicyConfig
from omnitrain_vpt.data.recordings import StreamedRecordings
from omnitrain_vpt.models.network.heads import log_prob
from omnitrain_vpt.models.network.policy import MinecraftPolicy
from omnitrain_vpt.models.policy import policy_architecture
from omnitrain_vpt.paper.minecraft import LineWriter
from omnitrain_vpt.recordings.clips import Reader, StreamedClips
from omnitrain_vpt.recordings.format import ReadingProblems, ReadingRules, find_segments, write_segment
from omnitrain_vpt.recordings.frames import pointer
from omnitrain_vpt.world.environments import make_fleet, make_interface, worlds_folder
from omnitrain_vpt.world.interface import HumanInterface
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


def _frames(steps: int, rows: int = ROWS) -> torch.Tensor:
    return torch.randint(0, 256, (rows, steps, SIDE, SIDE, 3), dtype=torch.uint8)


def _train(length: int, rows: int, passes: int = 1, updates: int = 1) -> Callable[[], float]:
    """Frames a second of cloning. length: frames of a pass. rows: clips of a pass.

    passes: before an update, each over other clips, whose memory waits meanwhile. updates: that are timed.
    """

    def measure() -> float:
        policy = _policy()
        img = [_frames(updates * length, rows) for _ in range(passes)]
        states = [policy.initial_state(rows) for _ in range(passes)]
        optimiser = torch.optim.SGD(policy.parameters(), lr=0.0)
        nothing = torch.zeros(rows, dtype=torch.bool)
        actions = {name: torch.zeros(rows, length, 1, dtype=torch.long) for name in ("buttons", "camera")}
        begin = process_time()
        for start in range(0, updates * length, length):
            for number in range(passes):
                output = policy(img[number][:, start : start + length], nothing, states[number])
                states[number] = {name: value.detach() for name, value in output.state.items()}
                (-log_prob(output.log_probs, actions).mean() / passes).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            optimiser.zero_grad()
        return updates * passes * rows * length / (process_time() - begin)

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
    count = sum(
        1 for segment in find_segments(_recordings(), None, ReadingProblems()) for _ in read_frames(segment.video, "bgr24")
    )
    return count / (perf_counter() - begin)


def _decode_ahead() -> float:
    """Frames a second of streams that decode one chunk ahead while the last one is used."""
    data = StreamedRecordings(RecordingsConfig(path=str(_recordings()), image_size=SIDE, steps=25, valid_fraction=0.0))
    reader = Reader(ReadingRules(), "quantised", SIDE, pointer(None), None, False)
    clips = StreamedClips(data.segments(), reader, ReadingProblems())
    data.use_clips(clips)
    begin, count = perf_counter(), 0
    for batch in data.batches("train", BatchPlan(2, 0, train=False)):
        count += int(batch["loss_weights"].sum())
    return count / (perf_counter() - begin)


EPISODE = 100
# Crafter's own world: its area, monsters and nights.
WORLD = WorldConfig(area=64, worlds=1, cell=8, calm=False, steps=EPISODE)
MOVES = [environment_action(pressed, (0.0, 0.0)) for pressed in ([], ["left"], ["right"], ["forward"], ["back"])]
PROCESSES = 2
ENVIRONMENTS = 8


def _plain_episode(clock: Callable[[], float]) -> float:
    """Episodes a second of the plain package: its steps, everything drawn. Its world is made before, as ours are."""
    environment = crafter.Env(size=(72, 72), seed=0)
    environment.reset()
    begin = clock()
    for step in range(EPISODE):
        environment.step(step % 5)
    return 1 / (clock() - begin)


@cache
def _interface() -> HumanInterface:
    made = make_interface(WORLD, worlds_folder(_folder()))
    made.reset(seed=0)
    return made


def _kept_episode() -> float:
    """Episodes a second in the interface, each set up from a world that is kept."""
    interface = _interface()
    begin = process_time()
    for seed in range(3):
        interface.reset(seed=seed)
        for step in range(EPISODE):
            interface.step(MOVES[step % 5])
    return 3 / (process_time() - begin)


@cache
def _fleet() -> Fleet:
    """Environments in processes that live until the end, so that starting them is not measured."""
    made = make_fleet(WORLD, _folder(), ENVIRONMENTS, 0, PROCESSES)
    atexit.register(made.close)
    made.reset()
    return made


def _fleet_episodes() -> float:
    """Episodes a second of wall clock of all environments together, each beginning its next episode at an end."""
    fleet, ended = _fleet(), 0
    begin = perf_counter()
    for step in range(EPISODE):
        ended += int(fleet.step([MOVES[step % 5]] * ENVIRONMENTS).ended.sum())
    return ended / (perf_counter() - begin)


def benches() -> list[Bench]:
    """All benches."""
    torch.set_num_threads(1)
    chunk, single, together = f"chunks of {STEPS}", "one frame of one clip a pass", f"one frame of {ROWS} clips a pass"
    return [
        Bench(
            "cloning", f"the same network, frames of one core; an update every {ROWS * STEPS}, 8 or {ROWS} frames", "frames/s",
            chunk,
            # The official loop is the second: 8 passes with a backward pass each, then an update.
            {chunk: _train(STEPS, ROWS), single: _train(1, 1, 8, 4), together: _train(1, ROWS, updates=8)},
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
            {"kept worlds": _kept_episode, "plain crafter": partial(_plain_episode, process_time)}, higher_is_better=True,
            bars=(Bar("plain crafter", 4.0),), rounds=3,
            notes={"": "both worlds are made before the clock starts and every step is drawn; ours is set up again for each "
                   "episode, the plain package goes through one"},
        ),
        Bench(
            "stepping over processes",
            f"{ENVIRONMENTS} environments in {PROCESSES} processes, episodes of {EPISODE} steps, wall clock", "episodes/s",
            "processes and kept worlds",
            {"processes and kept worlds": _fleet_episodes, "plain crafter, one process": partial(_plain_episode, perf_counter)},
            higher_is_better=True, bars=(Bar("plain crafter, one process", 4.0),), rounds=3,
            notes={"": "worlds as in episodes; the plain package steps one environment in one process, so part of the ratio is "
                   f"that of {PROCESSES} processes to one"},
        ),
    ]  # fmt: skip
