"""Settings of data."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from omnitrain.api import Config, InputPath, UseData
from omnitrain_control.listing import needed_libraries

ArrayName = Literal[
    "observations", "actions", "rewards", "next_observations", "terminals", "timeouts", "dones", "episodes", "success"
]
"""What arrays of trajectories are called here; readers.rules.NAMES has the usual names of each."""


class EpisodesConfig(Config):
    """Recorded episodes as examples of observation and action."""

    path: InputPath = "builtin"
    """A folder that `control/record` or `EpisodeWriter` made; "builtin" is a pole on a cart balanced by a simple rule with
    noise, recorded on first use."""
    best: float = Field(default=1.0, gt=0, le=1)
    """Share of the episodes, those with the highest return, that are kept (filtered cloning)."""
    valid_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Share of the kept episodes that is held out as "valid"."""


class TrajectoriesConfig(Config):
    """Steps, windows or transitions of trajectories, drawn in proportion to the trajectories' lengths."""

    path: InputPath = "builtin"
    """An .npz, .hdf5 or pickle of arrays, a folder or glob pattern of them, a Minari dataset, or folders of episodes as
    `control/record` makes them; "builtin" is the pole on a cart of control/episodes."""
    data: UseData | None = None
    """Recorded episodes in the place of path: {from: record}, or control/episodes."""
    layout: Literal["auto", "flat", "episodes"] = "auto"
    """flat: rows of all trajectories behind each other, with marks of ends. episodes: a file is one trajectory. auto: episodes
    where groups of HDF5, lists, a Minari dataset or a table of lengths say so, else flat."""
    fields: dict[ArrayName, str | list[str]] = Field(default_factory=dict)
    """Names of arrays that are not the usual ones, {observations: positions}; a list is joined to one vector."""
    horizon: int | None = Field(default=None, ge=1)
    """Steps after which a trajectory ends in flat arrays, for those without marks of ends."""
    dones: Literal["terminal", "timeout"] | None = None
    """What an end is that only `dones` marks; null where nobody has to know, since nothing is bootstrapped."""
    broken: Literal["refuse", "skip"] = "refuse"
    """Trajectories with numbers that are not finite, actions outside of action_range, arrays of different lengths or unmarked
    ends, and those behind the place where a store is cut: stop, or leave them out with a count."""
    min_steps: int = Field(default=1, ge=1)
    """Shorter trajectories are left out, with a count."""
    action_range: tuple[float, float] | None = None
    """Lowest and highest number of an action; null to take every number."""
    actions: Literal["classes", "numbers"] = "classes"
    """classes: int64, whole numbers from 0 as they are, others cut into bins. numbers: float32."""
    bins: int | None = Field(default=None, ge=2)
    """Bins over action_range for actions that are no whole numbers; control/rollouts plays their centres."""
    context: int | None = Field(default=None, ge=1)
    """Steps of a window, which is padded on the left; null for single steps."""
    rewards: bool = False
    """Give rewards and the returns to go."""
    transitions: bool = False
    """Give rewards, the next observation and whether it is terminal, for single steps; steps without a known next one are left
    out."""
    best: float = Field(default=1.0, gt=0, le=1)
    """Share of the trajectories, those with the highest return, that are kept."""
    valid_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Share of the kept trajectories that is held out as "valid"."""

    @model_validator(mode="after")
    def _fits(self) -> TrajectoriesConfig:
        """Refuse settings that can't go together."""
        if self.data is not None and self.path != "builtin":
            raise ValueError("path and data both say where the trajectories are; leave one out")
        if self.bins is not None and (self.action_range is None or self.actions == "numbers"):
            raise ValueError("bins cut numbers of action_range into classes; set action_range: [-1, 1] and actions: classes")
        if self.action_range is not None and self.action_range[0] >= self.action_range[1]:
            raise ValueError("action_range is [lowest, highest]")
        if self.transitions and self.context is not None:
            raise ValueError("transitions are single steps; leave context out")
        return self

    def needs(self) -> dict[str, str]:
        """Return what installs the libraries of the files."""
        return needed_libraries(self.path)
