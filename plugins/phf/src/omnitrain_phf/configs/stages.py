"""Settings of the stages. Light: imports only omnitrain.api, pydantic and other settings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from omnitrain.api import Config, InputPath, UseData, UseEvaluator, UseModel
from omnitrain_language.configs.limits import Fraction, Positive
from omnitrain_language.configs.needs import reading_needs
from omnitrain_phf.configs.scorers import ScorerConfig, ScrubadubConfig


class ScoreConfig(Config):
    """Score every segment of a text and write records that phf/scored-text reads."""

    path: InputPath = "builtin:contacts"
    """A file (.txt, .md, .rst, .py, .jsonl, .ndjson, .tsv, .parquet), a folder or glob pattern of them, or `builtin:prose`,
    `builtin:code` (documentation and source of the standard library), `builtin:contacts` (its sentences, some of them replaced
    by made-up contacts)."""
    field: str = "text"
    """The field that holds the text in .jsonl, .tsv and .parquet."""
    segments: Literal["sentences", "lines", "document"] = "sentences"
    """`sentences` by spaCy's rules (toxicity, PII), `lines` with their newline (PEP8), or the document as one segment."""
    scorer: ScorerConfig = ScrubadubConfig()
    """What scores."""
    processes: Annotated[int, Field(ge=1, le=256)] = 1
    """Worker processes; the result is the same in every byte."""
    chunk_characters: Positive = 500_000
    """Documents of about this many characters are scored, and kept on disk, at a time."""
    malformed: Literal["refuse", "skip"] = "refuse"
    """What to do with documents that can't be read."""
    max_documents: Positive | None = None
    """Stop after this many documents."""
    contacts_share: Fraction = 0.1
    """Of `builtin:contacts`: share of the sentences that are made-up contacts."""
    contacts_sentences: Positive = 9000
    """Of `builtin:contacts`: how many sentences."""
    threshold: Annotated[float, Field(ge=0)] = 0.0
    """The statistics tell the share of segments with a score above."""

    def needs(self) -> dict[str, str]:
        """Return what installs the libraries that these values need; see omnitrain.api.TellsNeeds."""
        return reading_needs(self.path, distribution="omnitrain-phf")

    def artifacts(self) -> dict[str, UseData]:
        """Return what the stage leaves; see omnitrain.api.TellsArtifacts."""
        return {"data": UseData(use="phf/scored-text")}


class FrontConfig(Config):
    """Several models side by side: misalignment against capability, and which are on the Pareto front."""

    arms: dict[str, UseModel] = Field(min_length=1)
    """The models by name, each of an earlier stage."""
    misalignment: UseEvaluator
    """What measures how bad a model is."""
    misalignment_metric: str
    """Which of its metrics; lower is better."""
    capability: UseEvaluator
    """What measures what a model can do."""
    capability_metric: str
    """Which of its metrics; its own direction says what is better."""
    device: str = "auto"
    """"auto" takes the first GPU where there is one, else the CPU; or a torch device name."""

    def artifacts(self) -> dict[str, str]:
        """Return nothing, since the stage only reports; see omnitrain.api.TellsArtifacts."""
        return {}
