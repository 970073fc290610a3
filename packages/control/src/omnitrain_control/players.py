"""Players: what a model must offer to be one, random ones, and noise over another player."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from omnitrain.errors import UsageError
from omnitrain_control.codecs import ActionCodec
from omnitrain_control.fleets import Fleet, Stepped
from omnitrain_control.games import Game
from omnitrain_control.rollouts import Actor, Decision, Watches


@runtime_checkable
class Plays(Protocol):
    """Ability of a model: it plays, so that `control/record`, `control/rollouts` and any stage can take it as a player.

    game: the one that it was made for, None where that is not known.
    """

    game: Game | None

    def player(self, fleet: Fleet, name: str | None, generator: np.random.Generator | None) -> Actor:
        """Return what plays it in a fleet, which keeps the classes of its actions as "actions" where there is a codec.

        name: of the fleet's game, for messages. generator: of drawn actions; None for the likeliest.
        Raises UsageError, before a step is played, where observations or actions are not those that it was made for.
        """


def playing(model: Any, who: str) -> Plays:
    """Return a model as one that plays. who: asks, as the subject of the message.

    Raises UsageError for one that does not.
    """
    if not isinstance(model, Plays):
        raise UsageError(
            f"{who} plays models that can play (control/mlp, control/sb3), not {type(model).__name__}; a model of one's own "
            "becomes one by `game` and `player` (omnitrain_control.players.Plays)."
        )
    return model


class RandomActor:
    """Plays uniformly random classes."""

    def __init__(self, codec: ActionCodec, generator: np.random.Generator) -> None:
        self.codec, self.generator = codec, generator

    def act(self, observations: NDArray[Any], first: NDArray[np.bool_]) -> Decision:
        """Decide for a batch."""
        choices, count = self.codec.heads["action"]
        counts = self.codec.counts
        # With one number for all, what is drawn does not depend on how many choices there are.
        below = count if (counts == count).all() else counts
        classes = self.generator.integers(0, below, (len(first), choices))
        return Decision(list(self.codec.decode({"action": classes})), {"actions": classes})


class NoisyActor:
    """Another actor's decisions, some of them replaced by a random one."""

    def __init__(self, actor: Actor, random: RandomActor, noise: float) -> None:
        self.actor, self.random, self.noise = actor, random, noise

    def act(self, observations: Any, first: Any) -> Decision:
        """Decide for a batch."""
        chosen, drawn = self.actor.act(observations, first), self.random.act(observations, first)
        replaced = self.random.generator.random(len(first)) < self.noise
        classes = np.where(replaced[:, None], drawn.kept["actions"], chosen.kept["actions"])
        return Decision(list(self.random.codec.decode({"action": classes})), {"actions": classes})

    def took(self, decision: Decision, stepped: Stepped) -> None:
        """Show the other actor what was really played."""
        if isinstance(self.actor, Watches):
            self.actor.took(decision, stepped)
