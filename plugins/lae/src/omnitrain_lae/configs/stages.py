"""Settings of the stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from omnitrain.api import Config, UseArtifact, UseData, UseModel
from omnitrain.engine import OptimiserConfig
from omnitrain_lae.configs.limits import Count, Positive


class AccumulationConfig(Config):
    """The offline experts: moving averages of the online one (section 3.2)."""

    decay: Annotated[float, Field(ge=0, le=1)] = 0.9999
    """Weight of the offline expert at each step. Paper: 0.9999, with batches of 24."""
    reference_batch: Positive | None = None
    """The decay is meant for batches of this size; with others it becomes decay^(batch_size / reference_batch), so that it
    forgets as fast per image. Nothing: as it is."""
    horizon_tasks: Annotated[float, Field(gt=0)] | None = None
    """Set the decay from the number of steps instead: 1 / (1 - decay) is so many tasks' steps. The paper's settings amount
    to 10 tasks (CIFAR100) and 2 (ImageNet-R)."""
    experts: Positive = 1
    """Offline experts; in a chain each follows the next and the last the online one. Paper: 1."""
    chain: Literal["corrected", "official"] = "corrected"
    """`official` repeats a fault of the official code with several experts: only the last one moves."""


class EwcConfig(Config):
    """Elastic weight consolidation (arXiv 1612.00796), as a baseline: a quadratic pull to the weights after each task."""

    strength: Annotated[float, Field(ge=0)] = 1000.0
    """Weight of the penalty."""
    samples: Positive = 64
    """Training examples of a task from which the Fisher information is estimated, after the task."""


class ContinualConfig(Config):
    """Learn tasks one after the other without keeping examples: Learning, Accumulation, Ensemble, and baselines of it."""

    data: UseData
    """Data with tasks, such as `lae/class-incremental`."""
    model: UseModel
    """The backbone: any model of transformers (vision or text), or any other with `feature_module`."""
    tune: Literal["pet", "heads", "backbone"] = "pet"
    """What is trained besides the new head: the tuning method (LAE), nothing (frozen heads), or all weights (sequential)."""
    pet: UseModel = Field(default_factory=lambda: UseModel(use="lae/adapter"))
    """The tuning method: `lae/adapter`, `lae/conv-adapter`, `lae/lora`, `lae/prefix`, `lae/prompt-pool`, or one of another
    plugin."""
    epochs: Positive = 5
    """Epochs of each task. Paper: 5 for CIFAR100, 50 for ImageNet-R and DomainNet."""
    freeze_epochs: Count = 3
    """First epochs of each task but the first in which only the new head is trained. Paper: 3 of 5, 30 of 50."""
    batch_size: Positive = 24
    """Examples of one step. Paper: 24."""
    drop_last: bool = True
    """Leave out the last, smaller batch of an epoch, as the official code does."""
    base_learning_rate: Annotated[float, Field(gt=0)] | None = 0.03
    """Learning rate at 256 examples a step; the rate is base * batch_size / 256. Paper: 0.03 (CIFAR100), 0.005."""
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """The learning rate itself; takes the place of `base_learning_rate`."""
    schedule: Literal["constant", "linear", "cosine", "cosine_pi"] = "constant"
    """Learning rate over the steps of a task. Paper: constant."""
    schedule_floor: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the learning rate at the end of a task."""
    optimiser: OptimiserConfig = OptimiserConfig(name="adam")
    """Made anew for each task. Paper: Adam without weight decay; the steps of old heads are masked out in any case."""
    loss: Literal["local", "seen"] = "local"
    """Cross entropy over the current task's logits (LAE), or over all classes seen so far."""
    accumulation: AccumulationConfig | None = AccumulationConfig()
    """The offline experts; null for none (online only)."""
    only_offline: bool = False
    """Decide with the offline experts alone, where there are any (the official option eval_only_emas)."""
    ewc: EwcConfig | None = None
    """A penalty on moving weights that matter to earlier tasks; a baseline."""
    training: Literal["sequential", "joint"] = "sequential"
    """`joint`: all tasks at once, the upper bound."""
    classifier: Literal["linear", "means"] = "linear"
    """`means`: no training; each class is the mean of its frozen features, and the nearest mean answers. Goes with tune:
    heads."""
    pooling: Literal["auto", "cls", "mean", "mean-without-last", "last", "pooler"] = "auto"
    """How tokens become a feature: `cls` for ViT and DeiT, `mean` for Swin (`mean-without-last` is the official code's fault),
    the pooled map for ConvNeXt, the last token for decoders; `auto` picks."""
    feature_module: str | None = None
    """For models that are not of transformers: the module whose input is the feature."""
    cache_features: bool = True
    """While nothing below the head is trained and the data has no random changes, run the backbone once a task."""
    evaluate_batch_size: Positive = 256
    """Examples at a time in evaluation; every expert sees them in one pass."""
    keep_logits: bool = False
    """Store the logits of all experts beside their answers."""
    precision: Literal["float32", "bf16"] = "float32"
    """Autocast type of the forward pass."""
    device: str = "auto"
    """"auto" takes the first GPU where there is one, else the CPU; or a torch device name."""
    workers: Annotated[int, Field(ge=0, le=64)] = 0
    """Processes that load examples."""
    log_every: Positive = 10
    """Steps between two lines of metrics."""
    checkpoint_every: Count = 200
    """Steps between two checkpoints, besides one after each task; 0 for the latter only."""
    keep_checkpoints: Positive = 2
    """Newest checkpoints that are kept."""
    skip_nonfinite: Count = 10
    """Steps in a row that may be skipped for a NaN or infinite loss or gradient."""

    @model_validator(mode="after")
    def _fits_together(self) -> ContinualConfig:
        if self.learning_rate is None and self.base_learning_rate is None:
            raise ValueError("give learning_rate or base_learning_rate")
        if self.classifier == "means" and self.tune != "heads":
            raise ValueError("classifier: means goes with tune: heads, since nothing is trained")
        if self.ewc is not None and self.tune == "heads":
            raise ValueError("ewc needs weights that are shared by tasks: tune: backbone or tune: pet")
        return self

    def artifacts(self) -> Mapping[str, str | UseModel]:
        """Return what the stage leaves; see `omnitrain.api.TellsArtifacts`."""
        return {"model": UseModel(use="lae/learned"), "answers": "predictions", "accuracy": "accuracies"}


class UseAnswers(UseArtifact):
    """{from: stage} of lae/continual: what its experts answered after every task."""

    product: ClassVar[str] = "answers"
    artifact_kind: ClassVar[str] = "predictions"


class CompareConfig(Config):
    """Several continually learned models side by side."""

    arms: dict[str, UseAnswers] = Field(min_length=1)
    """Stages of `lae/continual`, by the name to show: {LAE: {from: learn}}."""
    frozen: str | None = None
    """The arm with frozen heads. Where the best other arm is not better, the report says that tuning brought nothing."""
    margin: Annotated[float, Field(ge=0)] = 0.01
    """By how much last accuracy must be higher than the frozen arm's to count."""

    def artifacts(self) -> dict[str, str]:
        """Return nothing, since the stage only reports; see omnitrain.api.TellsArtifacts."""
        return {}


class ScenarioConfig(Config):
    """Draw a class order once, so that several stages learn the same tasks: `data: {from: this stage}`."""

    data: UseData
    """A `lae/class-incremental`."""

    def artifacts(self) -> dict[str, UseData]:
        """Return what the stage leaves; see omnitrain.api.TellsArtifacts."""
        return {"data": self.data}
