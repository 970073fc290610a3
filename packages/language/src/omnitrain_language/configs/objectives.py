"""Settings of token losses and of losses of preferences."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from omnitrain.api import Config

_SMOOTHED = ("dpo", "robust", "exo")
_BY_NAME = {"sigmoid": "dpo", "exo_pair": "exo"}


class NllConfig(Config):
    """Settings of both token losses."""

    z_loss: Annotated[float, Field(ge=0)] = 0.0
    """Coefficient of logsumexp(logits)^2; T5X uses 1e-4."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the target's probability that is spread over the vocabulary."""
    group: str | None = None
    """Integer batch field by which the loss is reported in parts, such as `task_ids`."""


class Seq2SeqNllConfig(NllConfig):
    """Token cross entropy of an encoder-decoder."""


class CausalNllConfig(NllConfig):
    """Token cross entropy of a decoder-only model."""


class PreferenceConfig(Config):
    """A loss of preference pairs; see omnitrain_language.preferences.losses for the equations."""

    loss: Literal["dpo", "ipo", "hinge", "robust", "exo", "orpo"] = "dpo"
    """dpo (arXiv 2305.18290, with label_smoothing its conservative form), ipo (2310.12036), hinge (2305.10425), robust
    (2403.00409), exo (2402.00856, of pairs), or orpo (2403.07691), which needs no reference."""
    beta: Annotated[float, Field(ge=0)] = 0.1
    """Scale of the rewards: strength of the pull to the reference; of orpo the weight (lambda) of the odds ratio beside the NLL
    of prompt and chosen response, where 0 leaves the NLL alone."""
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """Of dpo, robust and exo: share of pairs whose sides are taken to be exchanged. exo takes 0 as 0.001; its paper 0.005."""
    length_normalised: bool = False
    """Compare means over the tokens of a response in place of sums; orpo always does."""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        loss = value.get("loss") if isinstance(value, dict) else None
        if isinstance(loss, str) and loss in _BY_NAME:
            raise ValueError(f"loss {loss!r} is called {_BY_NAME[loss]!r} here")
        return value

    @model_validator(mode="after")
    def _takes_effect(self) -> PreferenceConfig:
        if not self.beta and self.loss != "orpo":
            raise ValueError(f"beta 0 leaves nothing of the loss {self.loss}; set it above 0")
        if self.label_smoothing and self.loss not in _SMOOTHED:
            raise ValueError(f"the loss {self.loss} knows no label_smoothing; leave it at 0, or take {', '.join(_SMOOTHED)}")
        return self
