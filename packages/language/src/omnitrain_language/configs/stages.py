"""Settings of stages."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from omnitrain.api import Config, InputPath, UseData, UseModel
from omnitrain_language.configs.decoding import DecodingConfig
from omnitrain_language.configs.limits import Positive


class GenerateConfig(DecodingConfig):
    """Let a model write a text, or several, to each prompt of a data set."""

    model: UseModel
    """Who writes."""
    path: InputPath | None = None
    """Prompts: .jsonl, .tsv or .parquet, a folder or a pattern of these."""
    field: str = "prompt"
    """The field of `path` that holds the prompt."""
    keep: list[str] = Field(default_factory=list)
    """Further text fields of `path` that are written beside each text."""
    data: UseData | None = None
    """In place of `path`: pairs, whose inputs are the prompts and whose targets are kept."""
    split: str = "valid"
    """The split of `data`."""
    malformed: Literal["refuse", "skip"] = "refuse"
    """What to do with records that can't be read: stop with their file and line, or leave them out and count them."""
    prefix: str = ""
    """Text in front of every prompt, such as a mode token."""
    begin: str = ""
    """Text that every answer begins with; it is not part of what is written."""
    max_new_tokens: Positive | None = None
    """Longest text in tokens; nothing means: as the model's generation_config says, else 64."""
    samples: Positive = 1
    """Texts of each prompt: drawn with a temperature above 0, or the best of num_beams."""
    batch_size: Positive = 16
    """Prompts that are answered together; those of like length are."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where the model computes."""

    @model_validator(mode="after")
    def _one_source(self) -> GenerateConfig:
        if (self.path is None) == (self.data is None):
            raise ValueError("set either path or data, where the prompts are")
        if self.data is not None and self.keep:
            raise ValueError("keep names fields of path; of data the targets are kept")
        taken = {self.field, "text", "sample"} & set(self.keep)
        if taken:
            raise ValueError(f"keep may not name {', '.join(sorted(taken))}, which is written anyway")
        beams = self.num_beams or 1
        if beams > 1 and self.temperature:
            raise ValueError(f"num_beams {beams} searches and temperature {self.temperature:g} draws: leave one of them out")
        if self.samples > beams and (beams > 1 or self.temperature == 0):
            raise ValueError(
                f"samples {self.samples} of a prompt would be equal: set temperature above 0 without num_beams, or num_beams "
                f"to at least {self.samples}"
            )
        if self.min_new_tokens and self.max_new_tokens and self.min_new_tokens > self.max_new_tokens:
            raise ValueError(f"min_new_tokens {self.min_new_tokens} is above max_new_tokens {self.max_new_tokens}")
        return self

    def artifacts(self) -> dict[str, UseData]:
        """Return what the stage leaves; see omnitrain.api.TellsArtifacts."""
        return {"texts": UseData(use="language/pairs")}


class MergeConfig(Config):
    """Write adapters into the weights below them, and leave the model without adapters."""

    model: UseModel | None = None
    """The model with adapters, of an earlier stage: `{from: stage}`. Beside it `dtype: float32` merges a model of bfloat16
    without rounding."""
    path: InputPath | None = None
    """Instead of `model`: the folder of a model with adapters that another run saved."""

    @model_validator(mode="after")
    def _one_model(self) -> MergeConfig:
        if (self.model is None) == (self.path is None):
            raise ValueError("write either 'model: {from: stage}' or 'path: folder of a saved model'")
        if self.model is not None and self.model.source is None:
            raise ValueError("model: fresh adapters change nothing; write '{from: stage}', or 'path' for a saved model")
        return self

    def artifacts(self) -> dict[str, str | UseModel]:
        """Return what the stage leaves; see omnitrain.api.TellsArtifacts."""
        return {"model": self.model if self.model is not None else "model"}
