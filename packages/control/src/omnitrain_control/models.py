"""Model `control/mlp`, and the actor that plays it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from omnitrain.api import Context
from omnitrain.errors import UsageError
from omnitrain_control.codecs import ActionCodec
from omnitrain_control.configs.models import MlpConfig
from omnitrain_control.rollouts import Decision


class Mlp(nn.Module):
    """Logits [batch, choices, classes] of observations [batch, observation]."""

    def __init__(self, observation_size: int, choices: int, classes: int, config: MlpConfig) -> None:
        super().__init__()
        self.choices, self.classes = choices, classes
        widths = [observation_size, *[config.width] * config.layers]
        hidden = [m for a, b in pairwise(widths) for m in (nn.Linear(a, b), nn.Tanh())]
        self.layers = nn.Sequential(*hidden, nn.Linear(widths[-1], choices * classes))

    def forward(self, observations: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.layers(observations)
        return logits.view(*logits.shape[:-1], self.choices, self.classes)


class MlpActor:
    """Plays a perceptron. generator: of the drawn actions; None takes the likeliest."""

    def __init__(self, model: Mlp, codec: ActionCodec, generator: np.random.Generator | None) -> None:
        self.model, self.codec, self.generator = model, codec, generator

    @torch.no_grad()
    def act(self, observations: NDArray[Any], first: NDArray[np.bool_]) -> Decision:
        """Decide for a batch."""
        inputs = torch.from_numpy(np.asarray(observations, np.float32))
        logits = self.model(inputs.to(next(self.model.parameters()).device)).double().cpu().numpy()
        if self.generator is not None:
            logits = logits + self.generator.gumbel(size=logits.shape)
        classes = logits.argmax(-1)
        return Decision(list(self.codec.decode({"action": classes})), {"actions": classes})


def build_mlp(config: MlpConfig, context: Context) -> Mlp:
    """Make the model `control/mlp`.

    Raises UsageError where the data does not tell its sizes.
    """
    asked = {"observation_size": config.observation_size, "choices": config.choices, "classes": config.classes}
    sizes = {name: value if value is not None else context.facts.get(name) for name, value in asked.items()}
    missing = [name for name, value in sizes.items() if value is None]
    if missing:
        raise UsageError(f"control/mlp lacks {', '.join(missing)}: use it with control/episodes, or set them.")
    return Mlp(int(sizes["observation_size"]), int(sizes["choices"]), int(sizes["classes"]), config)  # type: ignore[arg-type]
