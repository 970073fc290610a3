"""Settings of data."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from pydantic import Field, model_validator

from omnitrain.api import Config, InputPath, UseData
from omnitrain_control.configs.data import ArrayName


class DomainConfig(Config):
    """A simulator: a row of the table of domains."""

    reward_scale: float = Field(gt=0)
    """Rewards and returns are divided by it."""
    horizon: int = Field(ge=1)
    """Steps of an episode."""
    slots: dict[str, tuple[int, int]] = Field(min_length=1)
    """First place and width of each named observation in a state."""


class TaskConfig(Config):
    """One task: where its trajectories are and which domain it belongs to."""

    name: str = Field(min_length=1, pattern=r"^[^/]+$")
    """Its name in splits and tables; of a world that comes with the plugin where neither path nor data is given."""
    domain: str | None = None
    """metaworld, dmcontrol, plane, rail or one of `domains`; null for that of the world."""
    path: InputPath | None = None
    """Files of trajectories as control/trajectories reads them."""
    data: UseData | None = None
    """Recorded episodes: {from: record}, control/episodes or other data of control."""
    fields: dict[ArrayName, str | list[str]] = Field(default_factory=dict)
    """Names of arrays that are not the usual ones; see control/trajectories."""
    layout: Literal["auto", "flat", "episodes"] = "auto"
    """See control/trajectories."""
    horizon: int | None = Field(default=None, ge=1)
    """Steps after which a trajectory ends in flat arrays without marks of ends."""

    @model_validator(mode="after")
    def _one_source(self) -> TaskConfig:
        if self.path is not None and self.data is not None:
            raise ValueError("path and data both say where the trajectories are; leave one out")
        if (self.path is not None or self.data is not None) and self.domain is None:
            raise ValueError("domain says how rewards are scaled and where observations go; set it beside path or data")
        return self


class TasksConfig(Config):
    """Windows of trajectories of several tasks and domains in one space of states and actions."""

    tasks: list[TaskConfig] = Field(min_length=1)
    """What is learned, in this order where tasks are learned one after the other."""
    domains: dict[str, DomainConfig] = Field(default_factory=dict)
    """Further domains by name."""
    context: int = Field(default=5, ge=1)
    """Steps of a window, padded on the left. Paper: 5. Shorter trajectories are left out, with a count."""
    states: int = Field(default=204, ge=1)
    """Width of the unified states. Paper: 204."""
    actions: int = Field(default=6, ge=1)
    """Width of the unified actions. Paper: 6."""
    alternate: Literal["batches", "parts", "mixed"] = "batches"
    """Batches of training come wholly from one domain, each in turn (batches); consist of equal parts of all, so that with
    `accumulate` every micro-batch is of one domain (parts, the paper's 2 x 256); or are drawn from all steps (mixed)."""
    episodes: int = Field(default=24, ge=2)
    """Episodes that the expert of a world of this plugin plays."""
    broken: Literal["refuse", "skip"] = "refuse"
    """Trajectories with numbers that are not finite, actions outside [-1, 1] or broken ends: stop, or leave out, counted."""
    elsewhere: bool = False
    """The files lie on another machine: a dry run here says so and goes on."""
    valid_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Share of each task's trajectories that is held out as "valid"."""

    @model_validator(mode="after")
    def _names_differ(self) -> TasksConfig:
        twice = [name for name, count in Counter(task.name for task in self.tasks).items() if count > 1]
        if twice:
            raise ValueError(f"tasks: {twice[0]!r} is there twice; names tell tasks apart")
        return self
