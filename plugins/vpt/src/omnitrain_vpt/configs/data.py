"""Settings of recordings, of the play that is recorded, and of the world that is played."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from omnitrain.api import Config, InputModule, InputPath, NotInput


class WorldConfig(Config):
    """Where is played: the stand-in world behind Minecraft's human interface, or a registered MineRL environment."""

    environment: InputModule = "crafter"
    """"crafter", or the gymnasium id of an environment with Minecraft's action space, which is checked."""
    area: int = Field(default=32, ge=16, le=128)
    """Crafter: side of the world in cells (crafter's own is 64)."""
    worlds: int = Field(default=16, ge=1)
    """Crafter: how many different worlds episodes take turns in; each is generated once and kept."""
    first_world: int = Field(default=0, ge=0)
    """Crafter: number of the first of them; other numbers are other worlds, for tests on unseen ones."""
    calm: bool = True
    """Crafter: no monsters, always day, needs stay full."""
    cell: int = Field(default=4, ge=2, le=32, multiple_of=2)
    """Crafter: pixels of a cell; a frame has 9 cells."""
    steps: int = Field(default=400, ge=1)
    """Most steps of an episode. Paper: 12 000 steps in reinforcement, 72 000 in evaluation."""


class PlayerConfig(Config):
    """One kind of scripted player."""

    share: float = Field(default=1.0, gt=0)
    """How many of the recordings are its, relative to the others."""
    noise: float = Field(default=0.05, ge=0, le=1)
    """Probability, each step, of beginning a few random presses."""
    idle: float = Field(default=0.15, ge=0, lt=1)
    """Probability of doing nothing in a step. People: 35 % null actions."""
    look: float = Field(default=0.15, ge=0, le=1)
    """Probability of moving the mouse in a step."""
    goal: Literal["wood", "wood_pickaxe", "stone_pickaxe", "iron_pickaxe", "diamond"] = "diamond"
    """How far it plans; afterwards it wanders."""


class PlayConfig(Config):
    """Scripted play that is recorded."""

    world: WorldConfig = WorldConfig()
    """Where."""
    clips: int = Field(default=20, ge=1)
    """How many recordings; each begins an episode."""
    steps: int = Field(default=200, ge=2)
    """Most frames of a recording; it ends with the episode."""
    players: list[PlayerConfig] = Field(default_factory=lambda: [PlayerConfig()], min_length=1)
    """Who plays."""
    after_goal: int = Field(default=10, ge=0)
    """Frames that a recording goes on once the player holds what it planned for."""


class ReadingConfig(Config):
    """How lines become actions."""

    escape_closes_inventory: bool = True
    """ESC with an open GUI becomes "inventory". Paper: yes; official code: ESC stays and is dropped."""
    legacy_int_camera: bool = False
    """Cut camera degrees to whole numbers. Official code: yes, by mistake (its issue 54); paper: no."""
    gui_factors: bool = True
    """Scale the mouse by the recorder version's factor while a GUI is open. Official code: has the table, never applies it."""
    broken: Literal["skip", "refuse"] = "skip"
    """What to do with recordings that can't be read and with broken lines: leave them out with a count, or stop."""
    cursor: InputPath | None = None
    """A PNG of the pointer that is painted while a GUI is open; null for ours. Released models saw the official one."""


class AugmentConfig(Config):
    """Random changes of a whole window of frames, one draw per window (app. D.1)."""

    hue: float = Field(default=0.2, ge=0, le=0.5)
    """Largest turn of the hue, as a share of the circle."""
    saturation: float = Field(default=0.2, ge=0, lt=1)
    """Largest relative change of saturation; likewise brightness and contrast."""
    brightness: float = Field(default=0.2, ge=0, lt=1)
    """Largest relative change of brightness."""
    contrast: float = Field(default=0.2, ge=0, lt=1)
    """Largest relative change of contrast."""
    rotation: float = Field(default=2.0, ge=0)
    """Largest rotation in degrees."""
    scale: float = Field(default=0.02, ge=0, lt=1)
    """Largest relative change of size."""
    shear: float = Field(default=2.0, ge=0)
    """Largest shear in degrees."""
    shift: float = Field(default=2.0, ge=0)
    """Largest shift in pixels of a 128 pixel wide picture."""


class RecordingsConfig(Config):
    """Recordings in the contractor format, as windows or as streams of chunks."""

    path: InputPath
    """A folder of .mp4 with .jsonl of the same name, an index file, or "builtin" (scripted play, recorded on first use)."""
    base: Annotated[str, NotInput("`inputs` tells the files below it that the index names")] | None = None
    """Where the paths of an index file begin; by default its folder."""
    elsewhere: bool = False
    """The recordings lie on another machine: a dry run here says so and goes on."""
    builtin: PlayConfig = PlayConfig()
    """What is played for the path "builtin"."""
    layout: Literal["windows", "streams"] = "streams"
    """windows: independent windows of every frame (IDM). streams: each row goes on through its own clip (cloning)."""
    image_size: int = Field(default=32, ge=8, le=512)
    """Side of the frames. Paper: 128."""
    steps: int = Field(default=32, ge=1)
    """Frames of a window or chunk. Paper: 128."""
    nulls: Literal["auto", "keep", "raw", "quantised"] = "auto"
    """Which null actions are dropped: none, those of the line, or those that are null after quantisation as well. "auto" keeps
    them in windows and drops the quantised ones in streams, as in the paper; the official loader drops "raw"."""
    reading: ReadingConfig = ReadingConfig()
    """How lines become actions."""
    augment: AugmentConfig | None = None
    """Changes of training windows; null for none."""
    max_clips: int | None = Field(default=None, ge=1)
    """Use so many training clips, in an order that does not depend on how many."""
    max_frames: int | None = Field(default=None, ge=1)
    """Use the first so many frames of every clip (the start of the game)."""
    valid_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Share of the clips held out as "valid", by a hash of their names."""
    cache: bool = True
    """Decode once into memory-mapped frames; else decode while training, one chunk ahead in a thread."""
    threads: int = Field(default=2, ge=1, le=64)
    """Files decoded at the same time."""

    def inputs(self) -> list[Path]:
        """Return the recordings that an index file names; what is wrong with one is told when it is read."""
        index = Path(self.path)
        if not index.is_file():
            return []
        try:
            named = [Path(str(name)) for name in json.loads(index.read_text("utf-8-sig"))["relpaths"]]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return []
        root = Path(self.base) if self.base is not None else index.parent
        videos = [root / place for name in named if name.name for place in (name, name.with_name(f"{name.name}.mp4"))]
        places = [place for v in videos for place in (v, v.with_suffix(".jsonl"), v.with_suffix(".JSONL"))]
        return [place for place in dict.fromkeys(places) if place.is_file()]
