"""Players that need no model: random ones, and noise over another player."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnitrain_control.codecs import ActionCodec
from omnitrain_control.rollouts import Actor, Decision


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
