"""Configs of the core's stages. Light: no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from omnitrain.api.config import Config, UseData, UseEvaluator, UseModel, UseObjective


def _computes(device: str) -> str:
    if device.partition(":")[0] == "meta":
        raise ValueError("the device 'meta' holds shapes only and computes nothing; expected auto, cpu or cuda:0")
    return device


Device = Annotated[str, AfterValidator(_computes)]


class OptimiserConfig(Config):
    """Which optimiser updates the parameters."""

    name: Literal["adamw", "adam", "sgd", "adafactor"] = "adamw"
    """AdamW and Adam are torch's fused ones; Adafactor is transformers', with an external learning rate."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Adam's decay rates of the first and second moment."""
    eps: float = Field(default=1e-8, gt=0)
    """Adam's term against division by zero."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay of matrices; vectors and scalars are never decayed."""
    momentum: float = Field(default=0.0, ge=0, lt=1)
    """SGD's momentum."""
    clip_threshold: float = Field(default=1.0, gt=0)
    """Adafactor: the root mean square at which an update is clipped."""
    decay_exponent: float = Field(default=0.8, gt=0, lt=1)
    """Adafactor: second-moment decay at step t is 1 - t^-decay_exponent."""
    scale_parameter: bool = True
    """Adafactor: multiply updates by the parameter's root mean square."""

    def needs(self) -> dict[str, str]:
        """Return what installs the library of the optimiser; see omnitrain.api.TellsNeeds."""
        return {"transformers": "transformers"} if self.name == "adafactor" else {}

    @model_validator(mode="after")
    def _betas_are_rates(self) -> OptimiserConfig:
        if not all(0 <= b < 1 for b in self.betas):
            raise ValueError("betas must lie in [0, 1)")
        return self


class ScheduleConfig(Config):
    """How the learning rate changes with the step."""

    name: Literal["constant", "linear", "cosine", "inverse-sqrt"] = "constant"
    """After the warm-up: stay, fall linearly, fall along a half cosine, or fall with 1/sqrt(step)."""
    warmup_steps: int = Field(default=0, ge=0)
    """Updates of linear warm-up; for inverse-sqrt the updates at the constant rate before it falls."""
    final_fraction: float = Field(default=0.0, ge=0, le=1)
    """Fraction of the learning rate at the last step of linear and cosine."""


class EarlyStopConfig(Config):
    """When to end before the planned number of steps."""

    metric: str = "valid/loss"
    """Metric to watch, "split/name" as in metrics.jsonl; lower is better."""
    patience: int = Field(default=3, ge=1)
    """Evaluations without improvement after which training ends."""


class FitSettings(Config):
    """The ordinary training loop."""

    steps: int = Field(ge=0)
    """Optimiser updates in all."""
    batch_size: int = Field(default=32, ge=1, le=2**31 - 1)
    """Examples of one optimiser update, over all processes and micro-batches."""
    accumulate: int = Field(default=1, ge=1)
    """Micro-batches that one update's examples are cut into; changes memory, not the result."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Peak learning rate."""
    optimiser: OptimiserConfig = OptimiserConfig()
    """Which optimiser."""
    schedule: ScheduleConfig = ScheduleConfig()
    """Learning rate over the steps."""
    clip_norm: float | None = Field(default=1.0, gt=0)
    """Largest Euclidean norm of the gradient; null for no clipping."""
    precision: Literal["float32", "bf16", "fp16"] = "float32"
    """Autocast type of the forward pass; parameters, gradients and losses stay float32. fp16 needs a GPU."""
    compile: bool = False
    """Compile the model with torch.compile."""
    ema_decay: float | None = Field(default=None, gt=0, lt=1)
    """Keep an exponential moving average of the parameters, saved as the artifact "ema"."""
    log_every: int = Field(default=10, ge=1)
    """Updates between two lines of metrics."""
    evaluate_every: int = Field(default=0, ge=0)
    """Updates between two evaluations; 0 evaluates once, at the end."""
    evaluate_batches: int = Field(default=50, ge=0)
    """Most batches of the "valid" split in one evaluation of the loss; 0 for none."""
    checkpoint_every: int = Field(default=500, ge=0)
    """Updates between two checkpoints; 0 saves only when the run is stopped."""
    keep_checkpoints: int = Field(default=2, ge=1)
    """Newest checkpoints that are kept, besides the best."""
    early_stop: EarlyStopConfig | None = None
    """End early when the validation loss stops falling."""
    workers: int = Field(default=0, ge=0, le=64)
    """Processes that load examples; for data that orders its own batches none are used."""
    skip_nonfinite: int = Field(default=10, ge=0)
    """Updates in a row that may be skipped for a NaN or infinite loss or gradient before training ends."""
    device: Device = "auto"
    """"auto" takes the first GPU where there is one, else the CPU; or a torch device name."""

    @model_validator(mode="after")
    def _fits_together(self) -> FitSettings:
        if self.accumulate > self.batch_size:
            raise ValueError(f"accumulate {self.accumulate} is above batch_size {self.batch_size}: parts would be empty")
        if self.early_stop is not None and not self.evaluate_every:
            raise ValueError("early_stop looks at every evaluation, and evaluate_every 0 has only the one at the end; set it")
        return self


class UpdaterConfig(Config):
    """One optimiser of a stage that has several, such as an actor's and a critic's."""

    learning_rate: float = Field(default=1e-3, gt=0)
    """Peak learning rate."""
    optimiser: OptimiserConfig = OptimiserConfig()
    """Which optimiser."""
    schedule: ScheduleConfig = ScheduleConfig()
    """Learning rate over this optimiser's updates."""
    clip_norm: float | None = Field(default=None, gt=0)
    """Largest Euclidean norm of the gradient; null for no clipping."""
    clip_value: float | None = Field(default=None, gt=0)
    """Largest absolute value of each entry of the gradient; null for no clipping."""
    skip_nonfinite: int = Field(default=10, ge=0)
    """Updates in a row that may be skipped for a NaN or infinite loss or gradient before training ends."""


class FitConfig(Config):
    """Train a model on data with an objective."""

    data: UseData
    """What it is trained on."""
    model: UseModel
    """What is trained; {from: stage} continues an earlier stage's model."""
    objective: UseObjective
    """What is minimised."""
    fit: FitSettings
    """The loop."""
    evaluators: list[UseEvaluator] = Field(default_factory=list)
    """Measured at every evaluation, besides the loss on the "valid" split."""
    train_split: str = "train"
    """Split to train on."""

    def artifacts(self) -> dict[str, UseModel]:
        """Return what training leaves; see omnitrain.api.TellsArtifacts."""
        return {"model": self.model} | ({"ema": self.model} if self.fit.ema_decay is not None else {})


class EvaluateConfig(Config):
    """Measure a model with evaluators."""

    model: UseModel
    """What is measured."""
    data: UseData | None = None
    """What it is measured on; by default the data of the stage that the model is from."""
    evaluators: list[UseEvaluator] = Field(min_length=1)
    """What is measured."""
    device: Device = "auto"
    """"auto" takes the first GPU where there is one, else the CPU; or a torch device name."""

    def artifacts(self) -> dict[str, str]:
        """Return nothing, since measuring leaves no artifact; see omnitrain.api.TellsArtifacts."""
        return {}
