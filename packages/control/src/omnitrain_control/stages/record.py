"""Stage `control/record`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from omnitrain.api import Run, numpy_generator
from omnitrain_control.codecs import codec_of
from omnitrain_control.configs.stages import RecordConfig
from omnitrain_control.episodes import EpisodeWriter
from omnitrain_control.games import chosen_game, described_game, open_game, planned_game
from omnitrain_control.players import NoisyActor, RandomActor, playing
from omnitrain_control.rollouts import Actor, shown_play, whole_episodes


class Record:
    """Stage `control/record`."""

    def __call__(self, config: RecordConfig, run: Run) -> None:
        """Record whole episodes into the artifact "data", which `control/episodes` reads.

        Raises UsageError, before a step is played, for a game that can't be recorded or is none for the player, and Stopped at
        any step on request.
        """
        player = None if config.player is None else playing(run.build(config.player), "control/record")
        game = chosen_game(config.environment, None if player is None else player.game, "no player")
        with open_game(game, run) as fleet:
            codec = codec_of(fleet.action_space)
            random = RandomActor(codec, numpy_generator(run.seed("actions")))
            actor: Actor = random
            if player is not None:
                trained = player.player(fleet, game.id, numpy_generator(run.seed("player")))
                actor = NoisyActor(trained, random, config.noise)
            with shown_play(run, config.episodes) as advance:
                episodes = whole_episodes(fleet, actor, config.episodes, advance)
            about = {"game": described_game(game, fleet)}
        classes = codec.heads["action"][1]
        with (
            run.artifact("data", "data", use="control/episodes", config={}) as path,
            EpisodeWriter(path, about, final=("observations",)) as writer,
        ):
            for episode in episodes:
                last = np.arange(len(episode.rewards)) == len(episode.rewards) - 1
                writer.add(
                    {
                        "observations": episode.observations.astype(np.float32),
                        "actions": episode.kept["actions"],
                        "rewards": episode.rewards.astype(np.float32),
                        "terminals": last & bool(episode.info["terminated"]),
                        "classes": np.full(len(episode.rewards), classes),
                    }
                )

    def plan(self, config: RecordConfig, run: Run) -> Sequence[str]:
        """Make one environment and say what is recorded of it; without a player the game must be named.

        Raises UsageError for a game that can't be recorded, EnvironmentFault for one that can't be made here.
        """
        environment = config.environment
        if environment.id is None:
            if config.player is None:
                chosen_game(environment, None, "no player")
            return ["plays the game that its player was made for"]
        fleet, notes = planned_game(environment)
        codec_of(fleet.action_space)
        return [f"plays {environment.id}", *notes.values()]


record = Record()
