"""Evaluator `control/rollouts`."""

from __future__ import annotations

from typing import Any

from omnitrain.api import Context, Evaluation, Metric, Run, numpy_generator
from omnitrain.errors import UsageError
from omnitrain_control.codecs import codec_of
from omnitrain_control.configs.evaluators import RolloutsConfig
from omnitrain_control.environments import make_fleet
from omnitrain_control.intervals import mean_interval
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
        mean, low, high = mean_interval([e["return"] for e in episodes])
        length, *_ = mean_interval([e["length"] for e in episodes])
        count = len(episodes)
        return Evaluation({"return": Metric(mean, count, "higher", (low, high)), "length": Metric(length, count, unit="steps")})


def build_rollouts(config: RolloutsConfig, context: Context) -> Rollouts:
    """Make the evaluator `control/rollouts`."""
    return Rollouts(config)
