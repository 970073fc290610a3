"""Settings of the policy and the inverse dynamics model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from omnitrain.api import Config, InputPath

Size = Literal["tiny", "mini", "small", "1x", "2x", "3x"]


IdmSize = Literal["tiny", "mini", "small", "4x"]


class PolicyConfig(Config):
    """The policy. Names of parameters are the official ones."""

    size: Size = "mini"
    """1x, 2x and 3x are the paper's 71 M, 248 M and 0.5 B; the others are small ones of ours."""
    model_file: InputPath | None = None
    """An official .model file, which decides shapes and temperature in place of `size`."""
    weights: InputPath | None = None
    """An official .weights file, or safetensors with the same names."""
    image_size: int | None = Field(default=None, ge=8)
    """Side of the frames; null for the size's own (128 for the paper's)."""
    timesteps: int | None = Field(default=None, ge=1)
    """Steps of a chunk; null for the size's own."""
    memory: int | None = Field(default=None, ge=1)
    """Steps of memory beside them; null for the size's own. Paper: 128."""
    temperature: float | None = Field(default=None, gt=0)
    """Divides the logits; null for 2.0 or that of the .model file."""
    head_gain: float | None = Field(default=None, gt=0)
    """Norm of the first weights of each output; null for the size's own. Official: 0.01; our small ones: 1."""


class IdmConfig(Config):
    """The inverse dynamics model. Names of parameters are the official ones."""

    size: IdmSize = "mini"
    """4x is the paper's; the others are small ones of ours."""
    model_file: InputPath | None = None
    """An official .model file, which decides shapes in place of `size`."""
    weights: InputPath | None = None
    """An official .weights file, or safetensors with the same names."""
    image_size: int | None = Field(default=None, ge=8)
    """Side of the frames; null for the size's own."""
    head_gain: float | None = Field(default=None, gt=0)
    """Norm of the first weights of each output; null for the size's own. Official: 0.01; our small ones: 1."""
    conv3d: bool = True
    """Begin with the convolution over time (claim C2 takes it away)."""
    conv3d_spatial: Literal[1, 3] = 1
    """Its extent in height and width. Paper: 3; released kwargs: 1."""
    causal: bool = False
    """See only the past, for comparison (claim C1)."""
    use_lastlayer: bool = True
    """Let the dense layer before the heads take part. Paper: yes; official code computes it and ignores it, so released
    weights need false."""

    @model_validator(mode="after")
    def _released_weights_ignore_it(self) -> IdmConfig:
        if self.model_file is not None and self.use_lastlayer:
            raise ValueError("use_lastlayer must be false with a model_file: released weights are made without that layer")
        return self
