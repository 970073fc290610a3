"""Settings of the stages."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from omnitrain.api import Config, UseModel
from omnitrain_ul2.configs.evaluators import CrossDenoisingConfig, GridConfig, TaskConfig


class ArmConfig(Config):
    """One model of a comparison."""

    model: UseModel
    """The model, usually {from: stage}."""
    mode: Literal["matching", "none", "R", "X", "S"] = "matching"
    """Mode token it is asked with; a model that was trained in one mode only is asked in that."""


class CompareConfig(CrossDenoisingConfig):
    """Models side by side on every denoiser, with the unigram level and the worst-case regret."""

    arms: dict[str, ArmConfig] = Field(min_length=1)
    """Name to model. All must come from stages with the same tokenizer."""
    device: str = "auto"
    """"auto" takes the first GPU where there is one, else the CPU; or a torch device name."""

    def artifacts(self) -> dict[str, str]:
        """Return nothing, since the stage only reports; see omnitrain.api.TellsArtifacts."""
        return {}


class GainTaskConfig(TaskConfig):
    """One task of a comparison."""

    model: str = "model"
    """Which of an arm's models answers, such as the one fine-tuned on this task."""


class GainsConfig(GridConfig):
    """Arms on text-to-text tasks, each in its best mode, and their mean relative gain over anchors."""

    tasks: dict[str, GainTaskConfig] = Field(min_length=1)  # type: ignore[assignment]
    """Name to task."""
    arms: dict[str, dict[str, UseModel]] = Field(min_length=2)
    """Name to the arm's models by the names that tasks use, usually {model: {from: stage}}."""
    anchors: list[str] = Field(min_length=1)
    """Arms that the gain is over. Paper: decoder-only causal LM, and encoder-decoder span corruption."""
    device: str = "auto"
    """"auto" takes the first GPU where there is one, else the CPU; or a torch device name."""

    @model_validator(mode="after")
    def _names_are_known(self) -> GainsConfig:
        for anchor in self.anchors:
            if anchor not in self.arms:
                raise ValueError(f"anchor {anchor!r} is no arm; there are {', '.join(self.arms)}")
        for name, task in self.tasks.items():
            for arm, models in self.arms.items():
                if task.model not in models:
                    raise ValueError(f"task {name!r} needs a model {task.model!r}, which arm {arm!r} lacks")
        return self

    def artifacts(self) -> dict[str, str]:
        """Return nothing, since the stage only reports; see omnitrain.api.TellsArtifacts."""
        return {}
