"""Settings of stages."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from omnitrain.api import Config, InputPath, UseArtifact, UseData
from omnitrain_language.configs.chat import ChatConfig
from omnitrain_language.configs.limits import Positive
from omnitrain_language.configs.needs import reading_needs

BUILTIN = "builtin:reasoning"


class UseQueries(UseArtifact):
    """{from: stage} of orca/sample."""

    product = "queries"
    artifact_kind = "queries"


class CollectionConfig(Config):
    """How much is taken of a collection."""

    per_task: Positive | None = None
    """Most queries of one task, drawn at random; nothing means: all."""
    queries: Positive | None = None
    """Most queries of all tasks together, by Algorithm 1; nothing means: all."""


class SampleConfig(Config):
    """Sample zero-shot queries of FLAN's collections, and give each a system message. Defaults are the paper's."""

    path: InputPath = BUILTIN
    """.jsonl, .tsv or .parquet files, a folder or a pattern of these, with the fields inputs, targets, task_source,
    task_name, template_type; or `builtin:reasoning`, generated tasks of which rules know the answers."""
    elsewhere: bool = False
    """The files lie on another machine: a dry run here says so and goes on."""
    generated: Positive = 200
    """Of `builtin:reasoning`: queries of each task."""
    steps: tuple[Positive, Positive] = (2, 4)
    """Of `builtin:reasoning`: least and most steps to an answer."""
    malformed: Literal["refuse", "skip"] = "refuse"
    """What to do with records that can't be read: stop with their file and line, or leave them out and count them."""
    cot: CollectionConfig = CollectionConfig()
    """Chain of thought: everything."""
    niv: CollectionConfig = CollectionConfig(per_task=300)
    """Natural Instructions v2: 300 of each task."""
    t0: CollectionConfig = CollectionConfig(per_task=1_000_000, queries=2_000_000)
    """T0, without BIG-bench: at most a million of each task, then Algorithm 1."""
    flan: CollectionConfig = CollectionConfig(per_task=1_000_000, queries=2_500_000)
    """Flan 2021: at most a million of each task, then Algorithm 1."""
    systems: InputPath | None = None
    """A .json file of system messages by id, "1" to "16", in place of ours; those that it lacks are ours."""

    def needs(self) -> dict[str, str]:
        """Return what installs the libraries that these values need; see omnitrain.api.TellsNeeds."""
        return {} if self.path == BUILTIN else reading_needs(self.path)

    def artifacts(self) -> dict[str, str]:
        """Return what the stage leaves; see omnitrain.api.TellsArtifacts."""
        return {"queries": "queries"}

    @model_validator(mode="after")
    def _ordered(self) -> SampleConfig:
        if self.steps[0] > self.steps[1]:
            raise ValueError(f"steps {list(self.steps)}: write the least first")
        return self


class ExplainConfig(Config):
    """Let a teacher respond to sampled queries under their system messages."""

    queries: UseQueries | None = None
    """What is asked: `{from: stage}` of orca/sample."""
    path: InputPath | None = None
    """Instead of `queries`: the file queries.jsonl that another run sampled, of which a dry run tells tokens and cost."""
    teacher: ChatConfig | None = None
    """Who responds. Nothing means: nobody, FLAN's own targets are the responses, under no system message."""
    count: Positive | None = None
    """Ask so many of the queries, a random subset that is the same for every teacher and inside each larger one."""
    subset_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of that subset."""
    agreeing: bool = False
    """Keep only responses that come to the answer of FLAN's target. The paper keeps all."""

    def artifacts(self) -> dict[str, UseData]:
        """Return what the stage leaves; see omnitrain.api.TellsArtifacts."""
        return {"explanations": UseData(use="language/instructions")}

    @model_validator(mode="after")
    def _one_source(self) -> ExplainConfig:
        if (self.queries is None) == (self.path is None):
            raise ValueError("write either 'queries: {from: stage}' of orca/sample or 'path: queries.jsonl of another run'")
        return self
