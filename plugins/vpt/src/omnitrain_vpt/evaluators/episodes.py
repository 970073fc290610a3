"""Evaluator `vpt/episodes`: what a policy achieves when it plays."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from omnitrain.api import Context, Evaluation, Picture, Run, Table, mean_metric, share_metric
from omnitrain.errors import UsageError
from omnitrain_control.environments import environment_seed, episode_seed
from omnitrain_control.rollouts import Advance, shown_play, whole_episodes
from omnitrain_control.video import write_video
from omnitrain_vpt.configs.data import WorldConfig
from omnitrain_vpt.configs.evaluators import EpisodesConfig
from omnitrain_vpt.models.acting import PolicyActor, environment_actions
from omnitrain_vpt.models.network.policy import MinecraftPolicy
from omnitrain_vpt.paper.rewards import DIAMOND_PICKAXE
from omnitrain_vpt.world.environments import make_fleet, make_world, worlds_folder

_FILM_SIDE = 144


@dataclass(frozen=True)
class Played:
    """One episode. seed: of its reset. actions: joint indices int64[steps, 2]. info: its last info, with return and length."""

    seed: int
    actions: NDArray[np.int64]
    info: dict[str, Any]

    @property
    def reward(self) -> float:
        """Sum of the items' rewards."""
        return float(self.info["return"])


def play(
    policy: MinecraftPolicy,
    world: WorldConfig,
    workspace: Path,
    episodes: int,
    count: int,
    processes: int,
    seed: int,
    advance: Advance | None = None,
) -> list[Played]:
    """Play whole episodes, the same number in every environment, with drawn actions. advance: see `whole_episodes`."""
    size, count = policy.architecture.image[0], min(count, episodes)
    with make_fleet(world, workspace, count, seed, processes, size, dict(DIAMOND_PICKAXE)) as fleet:
        actor = PolicyActor(policy, count, torch.Generator().manual_seed(seed))
        whole = whole_episodes(fleet, actor, episodes, advance, observed=False)
    return [
        Played(
            episode_seed(environment_seed(seed, number % count), number // count),
            np.stack([episode.kept["joint_buttons"], episode.kept["joint_camera"]], -1).astype(np.int64),
            episode.info,
        )
        for number, episode in enumerate(whole)
    ]


def film(played: Played, world: WorldConfig, workspace: Path) -> bytes:
    """Play an episode once more with the same actions; return it as an mp4."""
    environment = make_world(world, worlds_folder(workspace), _FILM_SIDE)
    frame, _ = environment.reset(seed=played.seed)
    frames = [frame]
    for action in environment_actions(played.actions[:, 0], played.actions[:, 1]):
        frame, *_ = environment.step(action)
        frames.append(frame)
    environment.close()
    with tempfile.TemporaryDirectory(prefix="omnitrain-") as folder:
        path = Path(folder) / "episode.mp4"
        write_video(path, np.stack(frames), quality=28, full_chroma=False)
        return path.read_bytes()


def summary(episodes: list[Played]) -> Evaluation:
    """Return rates of achievements and items with Wilson intervals, and the mean of the items' rewards."""
    count = len(episodes)
    metrics = {
        "reward": mean_metric([e.reward for e in episodes], "higher"),
        "length": mean_metric([e.info["length"] for e in episodes], unit="steps"),
    }
    rows = []
    for group in ("items", "achievements"):
        names = sorted({name for e in episodes for name in e.info.get(group, {})})
        for name in names:
            numbers = [int(e.info.get(group, {}).get(name, 0)) for e in episodes]
            reached = sum(n > 0 for n in numbers)
            rate = share_metric(reached, count)
            if group == "items":
                metrics[name] = rate
            assert rate.interval is not None
            rows.append([name, rate.value, rate.interval[0], rate.interval[1], float(np.mean(numbers))])
    table = Table(["name", "episodes with it", "low", "high", "mean count"], rows, "Wilson intervals at 95 %")
    return Evaluation(metrics, {"achievements": table})


class EpisodesEvaluator:
    """See `EpisodesConfig`."""

    def __init__(self, config: EpisodesConfig) -> None:
        self.config = config

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Play and report.

        Raises UsageError for another model.
        """
        if not isinstance(predictor, MinecraftPolicy):
            raise UsageError(f"vpt/episodes plays vpt/policy, not {type(predictor).__name__}.")
        config = self.config
        seed = run.seed("episodes")
        with shown_play(run, config.episodes) as advance:
            episodes = play(
                predictor, config.world, run.workspace, config.episodes, config.count, config.processes, seed, advance
            )
        found = summary(episodes)
        if not config.video or config.world.environment != "crafter":
            return found
        order = sorted(episodes, key=lambda e: -e.reward)
        pictures = {}
        for name, chosen in (("best", order[0]), ("median", order[len(order) // 2])):
            content = film(chosen, config.world, run.workspace)
            caption = f"the {name} of {len(order)} episodes: reward {chosen.reward:.2f}, {chosen.info['length']} steps"
            pictures[name] = Picture(content, "video/mp4", caption)
        return Evaluation(found.metrics, found.tables, figures=pictures)


def build(config: EpisodesConfig, context: Context) -> EpisodesEvaluator:
    """Make the evaluator `vpt/episodes`."""
    return EpisodesEvaluator(config)
