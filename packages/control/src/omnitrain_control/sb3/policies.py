"""Policies of Stable-Baselines3 without their algorithms: made again from plain settings, and played."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.preprocessing import is_image_space, is_image_space_channels_first
from stable_baselines3.common.vec_env import VecTransposeImage

from omnitrain.engine import isolated
from omnitrain.errors import UsageError
from omnitrain_control.codecs import ActionCodec, codec_of
from omnitrain_control.environments import named_words
from omnitrain_control.rollouts import Decision
from omnitrain_control.sb3.settings import algorithm_class, policy_arguments
from omnitrain_control.sb3.views import View

TAKE_SDE = ("PPO", "A2C", "SAC")


def made_policy(algorithm: str, policy: str, view: View, settings: Mapping[str, Any], use_sde: bool = False) -> BasePolicy:
    """Return a policy with new weights, as an algorithm of that name would make it.

    policy: MlpPolicy, CnnPolicy or MultiInputPolicy. settings: the algorithm's policy_kwargs as plain JSON.
    Raises UsageError for settings that it does not take.
    """
    kind = algorithm_class(algorithm).policy_aliases[policy]
    arguments = {**policy_arguments(settings, "policy_settings"), **({"use_sde": use_sde} if algorithm in TAKE_SDE else {})}
    try:
        made: BasePolicy = kind(_channels_first(view.observation_space), view.action_space, lambda remaining: 0.0, **arguments)
    except (TypeError, ValueError, AssertionError, AttributeError) as error:
        raise UsageError(f"policy_settings: {policy} of {algorithm} refuses them: {named_words(error)}.") from error
    return made


def _channels_first(space: gymnasium.Space[Any]) -> gymnasium.Space[Any]:
    """Return the space that a policy has in training, where pictures come with their channels first."""
    if isinstance(space, spaces.Dict):
        return spaces.Dict({name: _channels_first(part) for name, part in space.spaces.items()})
    if isinstance(space, spaces.Box) and is_image_space(space) and not is_image_space_channels_first(space):
        return VecTransposeImage.transpose_space(space)
    return space


class PolicyActor:
    """Plays a policy. generator: of the seeds of drawn actions; None for the likeliest.

    TD3 and DQN have nothing to draw: their actions are the same either way.
    """

    def __init__(self, policy: BasePolicy, view: View, generator: np.random.Generator | None) -> None:
        self.policy, self.view, self.generator = policy, view, generator
        self._codec = _codec(view)

    def act(self, observations: NDArray[Any], first: NDArray[np.bool_]) -> Decision:
        """Decide for a batch."""
        seen = self.view.observe(observations)
        if self.generator is None:
            chosen, _ = self.policy.predict(seen, deterministic=True)
        else:
            with isolated(int(self.generator.integers(2**62))):
                chosen, _ = self.policy.predict(seen, deterministic=False)
        actions = self.view.act(chosen)
        kept = {} if self._codec is None else {"actions": self._codec.encode(np.stack(actions))["action"]}
        return Decision(actions, kept)


def _codec(view: View) -> ActionCodec | None:
    """Return the codec of the environment's actions, None where there is none, as for MultiBinary."""
    try:
        return codec_of(view.actions)
    except UsageError:
        return None


def count_parameters(policy: torch.nn.Module) -> int:
    """Return how many numbers a policy learns, its critics included."""
    return sum(parameter.numel() for parameter in policy.parameters())
