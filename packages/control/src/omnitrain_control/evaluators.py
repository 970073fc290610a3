"""Evaluator `control/rollouts`."""

from __future__ import annotations

from typing import Any

from omnitrain.api import Context, Evaluation, Run, numpy_generator
from omnitrain_control.configs.evaluators import RolloutsConfig
from omnitrain_control.games import Game, chosen_game, open_game
from omnitrain_control.players import Plays, playing
from omnitrain_control.rollouts import episode_metrics, play_episodes, shown_play


class Rollouts:
    """Evaluator `control/rollouts`; see `RolloutsConfig`. game: in which the data was recorded, where known."""

    def __init__(self, config: RolloutsConfig, game: Game | None = None) -> None:
        self.config, self.game = config, game

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Return the mean return and length of episodes.

        Raises UsageError for a model that does not play, for a game that nobody names, and for one whose observations or
        actions are others than the model's.
        """
        player = playing(predictor, "control/rollouts")
        known = self.game or player.game
        game = chosen_game(self.config.environment, known, "neither the data nor the model")
        if known is not None and known["id"] != game.id:
            run.event("another game", played=game.id, recorded=known["id"])
        with open_game(game, run) as fleet, shown_play(run, self.config.episodes) as advance:
            generator = None if self.config.greedy else numpy_generator(run.seed("actions"))
            actor = player.player(fleet, game.id, generator)
            episodes = play_episodes(fleet, actor, self.config.episodes, advance)
        return Evaluation(episode_metrics(episodes))

    def check_model(self, model: Any, run: Run, /) -> None:
        """See `omnitrain.api.ChecksModel`: a game that neither settings nor data nor model name is refused before training."""
        if isinstance(model, Plays):
            chosen_game(self.config.environment, self.game or model.game, "neither the data nor the model")


def build_rollouts(config: RolloutsConfig, context: Context) -> Rollouts:
    """Make the evaluator `control/rollouts`."""
    return Rollouts(config, context.facts.get("game"))
