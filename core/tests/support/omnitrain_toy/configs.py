"""Configs of the toy plugin."""

from typing import Literal

from pydantic import Field

from omnitrain.api import Config, UseData


class Rows(Config):
    """Rows of numbers."""

    rows: int = Field(default=50, ge=0)
    """How many."""
    noise: Literal["none", "global", "drawn"] = "none"
    """Where each draw of an example's noise comes from."""
    form: Literal["map", "iterable", "stream", "gather", "rounds"] = "map"
    """How the examples are offered; in rounds the model makes them."""
    round_updates: int = Field(default=6, ge=0)
    """Updates of a round."""
    nan_at: list[int] = Field(default_factory=list)
    """Rows whose target is not a number."""
    big_at: list[int] = Field(default_factory=list)
    """Rows whose target is `big`."""
    big: float = 1e38
    """The target of the rows in `big_at`."""
    validation: int = Field(default=8, ge=0)
    """Rows of the split "valid"."""
    broken_at: int | None = None
    """Row of the split "valid" that can't be read."""
    ends_after: int | None = None
    """Batches after which a stream ends."""
    extra_field: bool = True
    """Whether batches carry the field "weight"."""
    slow_s: float = Field(default=0.0, ge=0)
    """Seconds that each batch takes."""
    path: str | None = None
    """Where an earlier stage left rows."""
    library: str = ""
    """A module that is needed."""

    def needs(self) -> dict[str, str]:
        """Return it."""
        return {self.library: "toy[more]"} if self.library else {}


class Net(Config):
    """A small net."""

    width: int = Field(default=8, ge=1)
    """Hidden units."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of hidden units that are dropped."""
    asks: bool = False
    """Whether the data must tell how many numbers a row has."""


class Square(Config):
    """Squared error."""

    decay: float = Field(default=0.0, ge=0)
    """Coefficient of an auxiliary loss with its own weight."""
    tells_weights: bool = True
    """Whether the weights are told before the forward pass."""
    carried: bool = False
    """Whether the objective carries a running sum from batch to batch."""
    returns: Literal["loss", "number", "vector", "detached", "weightless", "negative", "empty"] = "loss"
    """What it returns: a loss, or what is none."""


class Error(Config):
    """Mean error."""

    slow_s: float = Field(default=0.0, ge=0)
    """Seconds that one measurement takes."""
    needs_split: str = ""
    """A split that the data must have."""
    odd: str = ""
    """A Python expression over np, torch, Decimal and Metric whose value is given as one more metric's value."""


class Collect(Config):
    """Leave rows."""

    refuses: bool = False
    """Whether the plan refuses."""

    def artifacts(self) -> dict[str, UseData]:
        """Return what the stage leaves."""
        return {"data": UseData(use="toy/rows")}
