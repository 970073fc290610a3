"""Model `control/scripted`: Meta-World's own policies, as a player or an expert."""

from __future__ import annotations

import numpy as np
from torch import nn

from omnitrain.api import Context
from omnitrain.errors import UsageError
from omnitrain_control.codecs import described_actions
from omnitrain_control.configs.models import ScriptedConfig
from omnitrain_control.fleets import Fleet
from omnitrain_control.games import Game
from omnitrain_control.metaworld import ACTIONS, ID, ScriptedActor


class Scripted(nn.Module):
    """Plays the policy of each row's task. game: the task that it was made for."""

    def __init__(self, config: ScriptedConfig) -> None:
        super().__init__()
        self.deviation = config.deviation
        actions = described_actions(ACTIONS)
        self.game: Game = {"id": ID, "settings": {"task": config.task}, "steps": None, "actions": actions}

    def player(self, fleet: Fleet, name: str | None, generator: np.random.Generator | None) -> ScriptedActor:
        """Return what plays in a fleet of any of Meta-World's tasks; see `Plays`. Without a generator there is no noise.

        Raises UsageError for another game.
        """
        if described_actions(fleet.action_space) != self.game["actions"] or fleet.observation_space.shape != (39,):
            raise UsageError(f"control/scripted plays Meta-World's tasks, and {name} is none: leave environment.id out.")
        return ScriptedActor(fleet.names, 0.0 if generator is None else self.deviation, generator)


def build(config: ScriptedConfig, context: Context) -> Scripted:
    """Make the model `control/scripted`."""
    return Scripted(config)
