"""Playing and writing down: scripted players as recordings in the contractor format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnitrain.errors import UsageError
from omnitrain_control.environments import episode_seed
from omnitrain_vpt.configs.data import PlayConfig, PlayerConfig
from omnitrain_vpt.paper.minecraft import LineWriter
from omnitrain_vpt.recordings.format import write_index, write_segment
from omnitrain_vpt.world.environments import make_interface
from omnitrain_vpt.world.interface import HumanInterface
from omnitrain_vpt.world.players import Habits, Player, environment_action

VERSION = "8.0"
"""Of the recorder, unless another is asked for."""
Clip = tuple[NDArray[np.uint8], list[dict[str, Any]]]


def chosen_player(play: PlayConfig, generator: np.random.Generator) -> PlayerConfig:
    """Draw a kind of player by the shares."""
    shares = np.array([player.share for player in play.players])
    return play.players[int(generator.choice(len(shares), p=shares / shares.sum()))]


def play_clip(interface: HumanInterface, play: PlayConfig, seed: int) -> Clip:
    """Play one recording; return frames uint8[n, h, w, 3] and lines. Frame t is what line t's action was taken in."""
    generator = np.random.Generator(np.random.PCG64(seed))
    kind = chosen_player(play, generator)
    player = Player(interface, Habits(kind.noise, kind.idle, kind.look, kind.goal), generator)
    writer = LineWriter()
    frame, _ = interface.reset(seed=episode_seed(seed, 0))
    frames: list[NDArray[np.uint8]] = []
    lines: list[dict[str, Any]] = []
    left = play.after_goal
    while len(frames) < play.steps and left >= 0:
        pressed, camera = player.act()
        frames.append(frame)
        items = [{"type": name, "quantity": count} for name, count in interface.items().items() if count]
        lines.append(writer(pressed, camera, inventory=items))
        frame, _, terminated, truncated, _ = interface.step(environment_action(pressed, camera))
        if terminated or truncated:
            break
        left -= player.finished()
    return np.stack(frames), lines


def clip_name(number: int, version: str = VERSION) -> str:
    """Return the name of a recording. version: of the recorder, its folder."""
    return f"{version}/scripted-{number:06d}"


def played_world(play: PlayConfig, worlds: Path) -> HumanInterface:
    """Make what scripted players play. worlds: where generated worlds are kept.

    Raises UsageError for a world that is not the stand-in: scripted players read its simulator.
    """
    if play.world.environment != "crafter":
        raise UsageError(f"Scripted players play crafter, not {play.world.environment!r}; record people there.")
    return make_interface(play.world, worlds)


def record_clip(
    interface: HumanInterface,
    folder: Path,
    play: PlayConfig,
    seed: int,
    number: int,
    version: str = VERSION,
    labelled: bool = True,
) -> int:
    """Write one recording, a function of the seed and its number, into a folder; return how many frames it has."""
    frames, lines = play_clip(interface, play, episode_seed(seed, number))
    write_segment(folder, clip_name(number, version), frames, lines if labelled else None, player="scripted", seed=number)
    return len(frames)


def record_clips(folder: Path, play: PlayConfig, worlds: Path, seed: int, each: Callable[[], None] = lambda: None) -> None:
    """Write `play.clips` recordings and an index into a new folder. each: called after every one.

    Raises UsageError for a world that is not the stand-in.
    """
    interface = played_world(play, worlds)
    for number in range(play.clips):
        record_clip(interface, folder, play, seed, number)
        each()
    write_index(folder, [f"{clip_name(number)}.mp4" for number in range(play.clips)])
