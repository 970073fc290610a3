"""A film of one episode, drawn by the environment itself."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omnitrain.api import Picture
from omnitrain.errors import OmnitrainError
from omnitrain_control.configs.environments import EnvironmentConfig
from omnitrain_control.environments import make_game, named_words
from omnitrain_control.fleets import Fleet
from omnitrain_control.rollouts import Actor, played_step
from omnitrain_control.video import write_video

MOST_FRAMES = 600


def film(config: EnvironmentConfig, seed: int, player: Callable[[Fleet], Actor], check: Callable[[], None]) -> Picture | str:
    """Play an episode and return it as a film, or why there is none. config: names the environment, which is made to be drawn.

    player: makes the actor for a fleet of one. check: called before each step; it may raise to end the play.
    """
    assert config.id is not None
    try:
        environment = make_game(config.id, {**config.settings, "render_mode": "rgb_array"}, config.steps)
    except OmnitrainError as error:
        return str(error)
    with Fleet(lambda: environment, 1, seed) as fleet:
        actor, first = player(fleet), np.ones(1, bool)
        observations, _ = fleet.reset()
        frames: list[NDArray[np.uint8]] = []
        total = 0.0
        while True:
            check()
            try:
                frame = np.asarray(environment.render())
            except Exception as error:  # drawing is of the environment's library, which may lack anything
                return f"the environment {config.id} can't be drawn: {named_words(error)}"
            if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
                return f"the environment {config.id} draws no picture: expected uint8 [height, width, 3]"
            frames.append(frame)
            _, stepped = played_step(fleet, actor, observations, first)
            observations, first = stepped.observations, stepped.ended
            total += float(stepped.rewards[0])
            if stepped.ended[0] or len(frames) == MOST_FRAMES:
                break
    caption = f"one episode: return {total:.4g}, {len(frames)} steps{'' if stepped.ended[0] else ', cut'}"
    with tempfile.TemporaryDirectory(prefix="omnitrain-") as folder:
        path = Path(folder) / "episode.mp4"
        height, width = (size - size % 2 for size in frames[0].shape[:2])
        write_video(path, np.stack(frames)[:, :height, :width], quality=28, full_chroma=False)
        return Picture(path.read_bytes(), "video/mp4", caption)
