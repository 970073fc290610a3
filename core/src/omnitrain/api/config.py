"""Strict typed configs of components, and the fields by which one component uses another."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator


class Config(BaseModel):
    """Base of every component's settings: unknown keys forbidden, no coercion, NaN and infinity refused, frozen.

    Defaults are checked as given values are, so that `gamma: float = 2` is 2.0, as it is when it is read from a lock file.

    The docstring under a field is its help text, its description in the JSON Schema and its line in the docs.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )


class Use(BaseModel):
    """A field that holds another component: `{use: plugin/name, ...its settings}` or `{from: stage}`.

    After a recipe is resolved, `config` holds the used component's validated config.
    """

    model_config = ConfigDict(extra="allow", populate_by_name=True)

    kind: ClassVar[str] = ""
    product: ClassVar[str] = ""
    """The artifact that `{from: stage}` stands for."""
    use: str | None = None
    source: str | None = Field(default=None, alias="from")
    _config: Config | None = PrivateAttr(default=None)

    @model_validator(mode="before")
    @classmethod
    def _accept_name_alone(cls, value: Any) -> Any:
        return {"use": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _exactly_one(self) -> Use:
        if (self.use is None) == (self.source is None):
            raise ValueError("write either 'use: plugin/name' or 'from: stage'")
        return self

    def __eq__(self, other: object) -> bool:
        """Two uses are equal if the same is written; whether one was resolved already makes no difference."""
        if not isinstance(other, Use) or type(self) is not type(other):
            return NotImplemented
        return self.__dict__ == other.__dict__ and self.__pydantic_extra__ == other.__pydantic_extra__

    @property
    def stage(self) -> str | None:
        """The stage of `{from: stage}` and `{from: stage/artifact}`."""
        return None if self.source is None else self.source.partition("/")[0]

    @property
    def artifact(self) -> str | None:
        """The artifact of `{from: stage/artifact}`, or what this kind of field takes from a stage."""
        return None if self.source is None else self.source.partition("/")[2] or self.product

    @property
    def raw(self) -> dict[str, Any]:
        """The settings as written, without `use` and `from`."""
        return dict(self.__pydantic_extra__ or {})

    @property
    def config(self) -> Config:
        """The validated config of the used component.

        Raises RuntimeError before the recipe was resolved, and for `{from: stage}`.
        """
        if self._config is None:
            raise RuntimeError(f"{self.use or self.source!r} was not resolved yet")
        return self._config

    @property
    def is_resolved(self) -> bool:
        """Whether the recipe was resolved, so that `config` is there; never so for `{from: stage}`."""
        return self._config is not None

    def resolved(self, config: Config) -> None:
        """Store the validated config; called once, when the recipe is resolved."""
        self._config = config


class UseData(Use):
    """A field that holds a data component."""

    kind: ClassVar[str] = "data"
    product: ClassVar[str] = "data"


class UseModel(Use):
    """A field that holds a model component."""

    kind: ClassVar[str] = "model"
    product: ClassVar[str] = "model"


class UseObjective(Use):
    """A field that holds an objective component."""

    kind: ClassVar[str] = "objective"


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_OF_A_STEP = re.compile(r".*-[0-9]{8}")
_SPLITS = ("train", "valid")


class UseEvaluator(Use):
    """A field that holds an evaluator component, with a name of its own where the recipe gives one."""

    kind: ClassVar[str] = "evaluator"
    name: str | None = None

    @field_validator("name")
    @classmethod
    def _usable_name(cls, name: str | None) -> str | None:
        if name is not None and not _NAME.fullmatch(name):
            raise ValueError("expected a name of 1 to 64 letters, digits, '.', '_' and '-' that begins with a letter or digit")
        if name is not None and (_OF_A_STEP.fullmatch(name) or name in _SPLITS):
            raise ValueError(
                "expected a name that is neither a split (train, valid) nor ends as the files of a step do (-00000010)"
            )
        return name

    @property
    def label(self) -> str:
        """What its results are stored and shown under: its name, else its address."""
        return self.name if self.name is not None else str(self.use)


class UseArtifact(Use):
    """A field that holds a product of an earlier stage that is neither a model nor data: `{from: stage/scores}`.

    A subclass says which one: `product`, the artifact that `{from: stage}` stands for, and `artifact_kind`, the kind that
    the stage gave to `run.artifact`. `run.input(field)` returns it.
    """

    kind: ClassVar[str] = "artifact"
    artifact_kind: ClassVar[str] = ""

    @model_validator(mode="after")
    def _from_a_stage(self) -> UseArtifact:
        if self.use is not None or self.raw:
            raise ValueError("write 'from: stage' or 'from: stage/artifact', without settings")
        return self
