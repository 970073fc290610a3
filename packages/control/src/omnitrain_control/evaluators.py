"""Evaluator `control/rollouts`."""

from __future__ import annotations

from typing import Any

from omnitrain.api import Context, Evaluation, Run, mean_metric, numpy_generator
from omnitrain.errors import UsageError
from omnitrain_control.codecs import codec_of
from omnitrain_control.configs.evaluators import RolloutsConfig
from omnitrain_control.environments import make_fleet
from omnitrain_control.models import Mlp, MlpActor
from omnitrain_control.rollouts import play_episodes


class Rollouts:
    """Evaluator `control/rollouts`; see `RolloutsConfig`."""

    def __init__(self, config: RolloutsConfig) -> None:
        self.config = config

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Return the mean return and length of episodes.

        Raises UsageError for something that is not a model of control/mlp.
        """
        if not isinstance(predictor, Mlp):
            raise UsageError(f"control/rollouts plays models of control/mlp, not {type(predictor).__name__}.")
        with make_fleet(self.config.environment, run.seed("environments")) as fleet:
            generator = None if self.config.greedy else numpy_generator(run.seed("actions"))
            actor = MlpActor(predictor, codec_of(fleet.action_space), generator)
            episodes = play_episodes(fleet, actor, self.config.episodes)
        found = {
            "return": mean_metric([e["return"] for e in episodes], "higher"),
            "length": mean_metric([e["length"] for e in episodes], unit="steps"),
        }
        return Evaluation(found)


def build_rollouts(config: RolloutsConfig, context: Context) -> Rollouts:
    """Make the evaluator `control/rollouts`."""
    return Rollouts(config)
