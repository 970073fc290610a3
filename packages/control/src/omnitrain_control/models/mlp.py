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
from omnitrain_control.codecs import ActionCodec, codec_of
from omnitrain_control.configs.models import MlpConfig
from omnitrain_control.fleets import Fleet
from omnitrain_control.games import Game, check_game
from omnitrain_control.rollouts import Decision


class Mlp(nn.Module):
    """Logits [batch, choices, classes] of observations [batch, observation]. game: in which it was recorded, where known."""

    def __init__(self, observation_size: int, choices: int, classes: int, config: MlpConfig, game: Game | None = None) -> None:
        super().__init__()
        self.observation_size, self.choices, self.classes, self.game = observation_size, choices, classes, game
        widths = [observation_size, *[config.width] * config.layers]
        hidden = [m for a, b in pairwise(widths) for m in (nn.Linear(a, b), nn.Tanh())]
        self.layers = nn.Sequential(*hidden, nn.Linear(widths[-1], choices * classes))

    def forward(self, observations: Tensor) -> Tensor:
        """Return the logits.

        Raises UsageError for observations of another size.
        """
        if observations.shape[-1] != self.observation_size:
            raise UsageError(
                f"The control/mlp reads observations of {self.observation_size} numbers, and is given "
                f"{observations.shape[-1]}: use it with data and games of its own size."
            )
        logits: Tensor = self.layers(observations)
        return logits.view(*logits.shape[:-1], self.choices, self.classes)

    def player(self, fleet: Fleet, name: str | None, generator: np.random.Generator | None) -> MlpActor:
        """Return what plays the model in a fleet; see `Plays`."""
        size = int(fleet.observation_space.shape[0])
        if size != self.observation_size:
            raise UsageError(
                f"The model reads observations of {self.observation_size} numbers, those of {name} have {size}: play it in the "
                "game that it was made for."
            )
        check_game(self.game, fleet, name)
        return MlpActor(self, codec_of(fleet.action_space), generator)


class MlpActor:
    """Plays a perceptron. generator: of the drawn actions; None takes the likeliest.

    Raises UsageError for a codec with other choices than the model's.
    """

    def __init__(self, model: Mlp, codec: ActionCodec, generator: np.random.Generator | None) -> None:
        choices, classes = codec.heads["action"]
        if (model.choices, model.classes) != (choices, classes):
            raise UsageError(
                f"The model gives {model.choices} choices of {model.classes} classes, the game takes {choices} of {classes}: "
                "play it in a game with the actions that it learned."
            )
        self.model, self.codec, self.generator = model, codec, generator
        self._absent = np.arange(classes) >= codec.counts[:, None]

    @torch.no_grad()
    def act(self, observations: NDArray[Any], first: NDArray[np.bool_]) -> Decision:
        """Decide for a batch."""
        inputs = torch.from_numpy(np.asarray(observations, np.float32))
        logits = self.model(inputs.to(next(self.model.parameters()).device)).double().cpu().numpy()
        if self.generator is not None:
            logits = logits + self.generator.gumbel(size=logits.shape)
        classes = np.where(self._absent, -np.inf, logits).argmax(-1)
        return Decision(list(self.codec.decode({"action": classes})), {"actions": classes})


def build(config: MlpConfig, context: Context) -> Mlp:
    """Make the model `control/mlp`.

    Raises UsageError where the data does not tell its sizes, or tells others than the config.
    """
    asked = {"observation_size": config.observation_size, "choices": config.choices, "classes": config.classes}
    sizes = {name: value if value is not None else context.facts.get(name) for name, value in asked.items()}
    for name, value in asked.items():
        told = context.facts.get(name)
        if value is not None and told is not None and value != told:
            raise UsageError(f"control/mlp: {name} is {value}, but the data has {told}; leave it out to take the data's.")
    missing = [name for name, value in sizes.items() if value is None]
    if missing:
        raise UsageError(f"control/mlp lacks {', '.join(missing)}: use it with control/episodes, or set them.")
    observation_size, choices, classes = (int(sizes[name]) for name in asked)  # type: ignore[arg-type]
    return Mlp(observation_size, choices, classes, config, context.facts.get("game"))
