"""Model `control/sb3`: a policy of Stable-Baselines3, from a stage, from a zip file, or new."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from torch import nn

from omnitrain.api import Context, user_path
from omnitrain.errors import DataError, UsageError
from omnitrain_control.configs.environments import EnvironmentConfig
from omnitrain_control.configs.models import Sb3Config
from omnitrain_control.fleets import Fleet, make_fleet
from omnitrain_control.games import Game, check_game, described_game
from omnitrain_control.sb3.archives import SavedPolicy, read_policy
from omnitrain_control.sb3.policies import PolicyActor, made_policy
from omnitrain_control.sb3.views import View, view_of
from omnitrain_control.spaces import described_space, same_shape, space_of

_log = logging.getLogger(__name__)


class Sb3Policy(nn.Module):
    """A policy of Stable-Baselines3, its critics included, and the game that it was made for. kind: its name there."""

    def __init__(self, policy: BasePolicy, view: View, kind: str, game: Game | None) -> None:
        super().__init__()
        self.policy, self.view, self.kind, self.game = policy, view, kind, game

    def forward(self, observations: Any) -> Any:
        """Return what the policy gives for observations as its algorithm sees them."""
        return self.policy(observations)

    def player(self, fleet: Fleet, name: str | None, generator: np.random.Generator | None) -> PolicyActor:
        """Return what plays the policy in a fleet; see `omnitrain_control.players.Plays`."""
        check_game(self.game, fleet, name)
        view = view_of(fleet.source_space, fleet.action_space, self.kind)
        if not same_shape(self.view.observation_space, view.observation_space):
            raise UsageError(
                f"The policy reads {self.view.observation_space}, and {name} gives {view.observation_space}: play it in the "
                "game that it was made for."
            )
        return PolicyActor(self.policy, view, generator)


def policy_facts(game: Game, fleet_source: Any, actions: Any) -> dict[str, Any]:
    """Return what a saved policy is built from again, as plain JSON: its game and both spaces."""
    try:
        seen = described_space(fleet_source)
    except UsageError:
        seen = None  # a space that only its vector stands for
    return {"game": dict(game), "spaces": {"observations": seen, "actions": described_space(actions)}}


def build(config: Sb3Config, context: Context) -> Sb3Policy:
    """Make the model `control/sb3`.

    Raises UsageError where no game tells the spaces or the policy does not fit them, DataError for a file that is not read.
    """
    saved = None if config.path is None else read_policy(user_path(config.path))
    algorithm, settings, use_sde = _chosen(config, saved)
    source, actions, game = _spaces(config, context)
    kind = config.policy or _kind(source, saved)
    view = view_of(source, actions, kind)
    policy = made_policy(algorithm, kind, view, settings, use_sde)
    if saved is not None and context.saved is None:
        _load(policy, saved, config)
    return Sb3Policy(policy, view, kind, game)


def _chosen(config: Sb3Config, saved: SavedPolicy | None) -> tuple[str, Mapping[str, Any], bool]:
    """Return algorithm, settings of the policy and whether it explores by state dependent noise."""
    if saved is None:
        if config.algorithm is None:
            raise UsageError("control/sb3 lacks algorithm: set it, or path to a zip file of Stable-Baselines3.")
        return config.algorithm, config.policy_settings, config.use_sde
    if config.algorithm not in (None, saved.algorithm):
        raise UsageError(f"algorithm is {config.algorithm}, and {config.path} is of {saved.algorithm}; leave it out.")
    if saved.normalised:
        _log.warning(
            "%s was trained on observations that VecNormalize changed by statistics which are not in the file: it plays as it "
            "learned only where the environment gives observations changed in the same way",
            config.path,
        )
    return saved.algorithm, {**saved.settings, **config.policy_settings}, saved.use_sde or config.use_sde


def _spaces(config: Sb3Config, context: Context) -> tuple[Any, Any, Game | None]:
    """Return the spaces of observations and actions and the game: those that were saved, else those of the environment."""
    game, told = context.facts.get("game"), context.facts.get("spaces")
    if told is not None and told["observations"] is not None:
        return space_of(told["observations"]), space_of(told["actions"]), game
    environment = config.environment
    if environment.id is None and game is not None:
        environment = EnvironmentConfig(id=game["id"], settings=dict(game["settings"]), steps=game["steps"])
    if environment.id is None:
        raise UsageError(
            "control/sb3: environment.id is missing: the file of Stable-Baselines3 keeps the spaces of observations and "
            "actions as pickles, which are not read since they can run code; name the environment that it was trained in."
            if config.path is not None
            else "control/sb3: environment.id is missing: name the environment that the policy shall play in."
        )
    with make_fleet(environment.model_copy(update={"count": 1, "processes": 0}), 0) as fleet:
        return fleet.source_space, fleet.action_space, described_game(environment, fleet)


def _kind(source: Any, saved: SavedPolicy | None) -> str:
    """Return which of the three policies it is: told by the file's weights and the observations."""
    if isinstance(source, spaces.Dict):
        return "MultiInputPolicy"
    return "CnnPolicy" if saved is not None and saved.has_pictures else "MlpPolicy"


def _load(policy: BasePolicy, saved: SavedPolicy, config: Sb3Config) -> None:
    """Load weights. Raises DataError that names the first entry which does not fit."""
    own = policy.state_dict()
    for name, value in saved.weights.items():
        if name in own and own[name].shape != value.shape:
            raise DataError(
                f"{config.path}: {name} has the shape {list(value.shape)}, and for {config.environment.id} a policy of "
                f"{saved.algorithm} has {list(own[name].shape)}; name the environment that it was trained in, or set "
                "policy_settings (net_arch) as in its training."
            )
    missing, unexpected = sorted(set(own) - set(saved.weights)), sorted(set(saved.weights) - set(own))
    if missing or unexpected:
        wrong = f"lacks {missing[0]}" if missing else f"has {unexpected[0]} besides"
        raise DataError(
            f"{config.path}: for a policy of {saved.algorithm} it {wrong}; set policy_settings (net_arch, n_critics) as in its "
            "training."
        )
    policy.load_state_dict(saved.weights)
