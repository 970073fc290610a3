"""Settings of `core/mixture`. Light: no torch."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from omnitrain.api.config import Config, UseData

_FIELD = re.compile(r"[a-z][a-z0-9_]{0,63}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class MemberConfig(Config):
    """One of the data that are mixed."""

    data: UseData
    """Where its examples come from: any data whose batches carry the same fields as the others'."""
    weight: float = 1.0
    """Its share is proportional to weight x size^alpha."""
    cap: int | None = Field(default=None, ge=1)
    """Most examples of a training split that are used, and that count as its size; null for all."""
    size: int | None = Field(default=None, ge=1)
    """Examples that count as its size where the data can't tell (streams); needed there for alpha above 0 only."""

    @field_validator("weight")
    @classmethod
    def _has_a_share(cls, weight: float) -> float:
        if weight <= 0:
            raise ValueError("expected a weight above 0; take the member out of `members` where it shall have no share")
        return weight

    @model_validator(mode="after")
    def _one_size(self) -> MemberConfig:
        if self.cap is not None and self.size is not None:
            raise ValueError("cap limits examples that can be counted, size stands for those that can't: give one of them")
        return self


class MixtureConfig(Config):
    """Mix several data."""

    members: dict[str, MemberConfig]
    """The data by name, such as {natural: {data: ..., weight: 2}, sql: {data: ...}}; losses and splits are told by these
    names. The order in which they are written makes no difference."""
    alpha: float = Field(default=0.0, ge=0, le=1)
    """How size counts: 0 not at all (weights alone), 1 as it is (the union of all examples), between them with a
    temperature of 1/alpha."""
    unit: Literal["example", "micro-batch", "update"] = "example"
    """What is of one member: single examples, so that batches hold several members; the examples of a micro-batch
    (fit.accumulate); or those of an update."""
    order: Literal["shuffled", "alternating"] = "shuffled"
    """The members' turns in a new random order each time round, or spread evenly (in turn, where shares are equal). Shares are
    exact either way."""
    redraw: bool = False
    """Of a member with a cap, take other examples each time until all had their turn; otherwise a fixed choice of the seed."""
    drop: list[str] = Field(default_factory=list)
    """Fields that are left out of all batches, since not all members carry them or they differ."""
    keep: list[str] = Field(default_factory=list)
    """Fields that only some members carry and that stay in the batches of these, for objectives to which they are optional
    (masks); not for unit: example."""
    group: str = "member_ids"
    """Field that says of each row which member it is of, for objectives and evaluators that measure by group."""
    facts_of: str | None = None
    """The member whose word and files (tokenizer) count where members tell a model different things; null refuses that."""

    @model_validator(mode="after")
    def _fits_together(self) -> MixtureConfig:
        if not self.members:
            raise ValueError("members: expected at least one, such as {natural: {data: ...}}")
        if not _FIELD.fullmatch(self.group):
            raise ValueError(f"group {self.group!r} is no name of a field; expected lower-case letters, digits and '_'")
        wrong = next((name for name in self.members if not _NAME.fullmatch(name)), None)
        if wrong is not None:
            raise ValueError(f"the member {wrong!r} needs a name of 1 to 64 letters, digits, '.', '_' and '-'")
        both = sorted({*self.drop} & {*self.keep})
        if both:
            raise ValueError(f"{both[0]!r} is in both drop and keep")
        if self.keep and self.unit == "example":
            raise ValueError("keep needs batches of one member each: set unit: update or micro-batch, or drop the fields")
        if self.facts_of is not None and self.facts_of not in self.members:
            raise ValueError(f"facts_of {self.facts_of!r} is no member; there are {', '.join(sorted(self.members))}")
        return self
