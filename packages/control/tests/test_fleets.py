"""Fleets of several makers, actors that see what came of a step, episodes that the learner ends, rows that are reset."""

import logging
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import toy_games
from gymnasium import spaces

from omnitrain.api import numpy_generator
from omnitrain.errors import EnvironmentFault, UsageError
from omnitrain_control.codecs import codec_of
from omnitrain_control.configs.environments import EnvironmentConfig
from omnitrain_control.configs.models import MlpConfig
from omnitrain_control.environments import make_environment, make_game
from omnitrain_control.films import film
from omnitrain_control.fleets import Fleet
from omnitrain_control.games import described_game
from omnitrain_control.models.mlp import build
from omnitrain_control.players import NoisyActor, RandomActor
from omnitrain_control.rollouts import Collector, Decision, episode_metrics, play_episodes
from omnitrain_testing.running import dry_run

BASE = partial(make_game, "toy_games:Base-v0", {})


def length(steps):
    return partial(make_game, "toy_games:Base-v0", {"length": steps})


def other(name):
    return partial(make_game, f"toy_games:{name}-v0", {})


class Watching:
    """Plays action 1 and keeps what it is shown."""

    def __init__(self):
        self.seen = []

    def act(self, observations, first):
        self.calls = len(self.seen)
        return Decision([1] * len(first), {"actions": np.ones((len(first), 1), np.int64)})

    def took(self, decision, stepped):
        assert self.calls == len(self.seen)
        self.seen.append((list(decision.actions), stepped.rewards.tolist(), stepped.ended.tolist()))


@pytest.mark.parametrize("processes", [0, 2])
def test_makers_of_several_kinds_play_as_they_do_alone(processes):
    makers = [length(2), length(3), other("Continuous")]
    with pytest.raises(UsageError, match=r"differ in their actions: Continuous-v0 has Box.*, and Base-v0 has Discrete\(3\)"):
        Fleet(makers, 2, 0, processes)
    with Fleet(makers[:2], 2, [7, 8], processes) as fleet:
        assert fleet.kinds.tolist() == [0, 0, 1, 1]
        together = Collector(fleet).collect(Watching(), 6)
        assert [e["length"] for e in play_episodes(fleet, Watching(), 4)] == [2, 2, 3, 3]
    for kind, (maker, seed) in enumerate(zip(makers[:2], (7, 8), strict=True)):
        with Fleet(maker, 2, seed) as alone:
            apart = Collector(alone).collect(Watching(), 6)
        assert np.array_equal(together.observations[fleet.kinds == kind], apart.observations)
        assert np.array_equal(together.first[fleet.kinds == kind], apart.first)


def test_spaces_that_differ_are_refused_by_name_and_bounds_may():
    with pytest.raises(UsageError, match=r"in their observations: Wide-v0 has Box.*\(4,\).*, and Base-v0 has Box.*\(3,\)"):
        Fleet([BASE, other("Wide")], 1, 0)
    with pytest.raises(UsageError, match="2 makers has 3 seeds"):
        Fleet([BASE, BASE], 1, [1, 2, 3])
    with pytest.raises(UsageError, match="no environments"):
        Fleet([], 1, 0)

    def near():
        made = BASE()
        made.unwrapped.observation_space = spaces.Box(-3, 0.5, (3,), np.float32)
        return made

    with Fleet([BASE, near], 1, 0) as fleet:
        assert fleet.observation_space == spaces.Box(-3, 1, (3,), np.float32)
        assert fleet.limit is None


def test_observations_that_are_no_array_are_refused_where_nothing_flattens_them():
    with pytest.raises(UsageError, match=r"Named-v0 gives observations of Dict.*which are no arrays: make it by .*make_game"):
        Fleet(partial(make_environment, "toy_games:Named-v0"), 1, 0)


@pytest.mark.parametrize("kind", [make_environment, partial(make_game, settings={})])
def test_pixels_as_fractions_are_refused_before_a_step(monkeypatch, kind):
    monkeypatch.setattr(toy_games.Pictures, "seen", lambda self: np.full((4, 4, 3), 0.5))
    with (
        pytest.raises(EnvironmentFault, match=r"of the type float64, and their space is Box\(0, 255.*whole numbers"),
        Fleet(partial(kind, "toy_games:Pictures-v0"), 1, 0) as fleet,
    ):
        fleet.reset()


def test_an_actor_sees_rewards_and_ends_and_the_action_that_was_played():
    watching = Watching()
    with Fleet([length(2), length(3)], 1, 0) as fleet:
        Collector(fleet).collect(watching, 3)
        assert watching.seen[1] == ([1, 1], [1.0, 1.0], [True, False])
        assert watching.seen[2] == ([1, 1], [1.0, 1.0], [False, True])
        noisy = NoisyActor(watching, RandomActor(codec_of(fleet.action_space), numpy_generator(0)), 1.0)
        rollout = Collector(fleet).collect(noisy, 20)
    shown = np.array([actions for actions, _, _ in watching.seen[3:]])
    assert np.array_equal(shown, rollout.kept["actions"][:, :, 0].T)
    assert len(np.unique(shown)) == 3


def test_the_actor_of_a_film_sees_them_too():
    watching = Watching()
    shown = film(EnvironmentConfig(id="toy_games:Room-v0"), 0, lambda fleet: watching, lambda: None)
    assert not isinstance(shown, str)
    assert [ended for _, _, (ended,) in watching.seen] == [False] * 4 + [True]


def test_the_learner_ends_an_episode_and_the_environment_goes_on():
    with Fleet(other("Endless"), 2, 3) as fleet, Fleet(other("Endless"), 2, 3) as plain, Fleet(other("Endless"), 2, 3) as again:
        one, whole, resumed = map(Collector, (fleet, plain, again))
        first = one.collect(Watching(), 4)
        told = one.end([1])
        assert told == [{"environment": 1, "terminated": False, "return": 4.0, "length": 4}]
        resumed.load_state_dict(one.state_dict())
        second, same = (c.collect(Watching(), 3) for c in (one, resumed))
        assert np.array_equal(second.observations, same.observations)
        assert np.array_equal(second.first, same.first)
        assert second.first[:, 0].tolist() == [False, True]
        uninterrupted = whole.collect(Watching(), 7).observations
        assert np.array_equal(np.concatenate([first.observations, second.observations], 1), uninterrupted)
        assert [(e["length"], e["return"]) for e in one.end([0, 1])] == [(7, 7.0), (3, 3.0)]


@pytest.mark.parametrize("processes", [0, 2])
def test_one_row_is_reset_and_the_others_go_on(processes):
    with Fleet(other("Endless"), 3, 3, processes) as fleet, Fleet(other("Endless"), 3, 3) as plain:
        one, whole = Collector(fleet), Collector(plain)
        one.collect(Watching(), 2)
        whole.collect(Watching(), 2)
        one.end([1], reset=True)
        assert one.first.tolist() == [False, True, False]
        changed, kept = one.collect(Watching(), 2), whole.collect(Watching(), 2)
        assert np.array_equal(changed.observations[[0, 2]], kept.observations[[0, 2]])
        assert not np.array_equal(changed.observations[1], kept.observations[1])
        assert [e["number"] for e in fleet.state_dict()["episodes"]] == [0, 1, 0]
        observations, infos = fleet.reset([2, 0])
        assert observations.shape == (2, 3)
        assert len(infos) == 2
        assert [e["number"] for e in fleet.state_dict()["episodes"]] == [1, 1, 1]


@pytest.mark.parametrize("processes", [0, 2])
def test_a_fleet_of_anyones_tells_once_what_its_seed_does_not_decide(caplog, processes):
    with caplog.at_level(logging.WARNING), Fleet([BASE, other("Unseeded")], 2, 0, processes) as fleet:
        fleet.reset()
        fleet.reset()
    told = [record.getMessage() for record in caplog.records]
    assert [text.partition(":")[0] for text in told] == ["Unseeded-v0"]
    with caplog.at_level(logging.WARNING), Fleet(other("Unseeded"), 1, 0, check=False) as fleet:
        fleet.reset()
    assert len(caplog.records) == len(told)


def test_the_dry_run_tells_what_a_game_is_like():
    stage = {"name": "record", "use": "control/record", "episodes": 2}
    for name, note in (("Unseeded", "reset(seed) does not decide its episodes"), ("Endless", "it has no limit of steps")):
        checked = dry_run({"summary": "one", "seed": 0, "stages": [{**stage, "environment": {"id": f"toy_games:{name}-v0"}}]})
        assert any(note in line for line in checked.stages[0].notes)


def test_one_model_plays_several_games_at_once():
    config = EnvironmentConfig(id="toy_games:Base-v0")
    with Fleet([length(2), length(4)], 2, 0) as fleet:
        game = described_game(config, fleet)
        model = build(
            MlpConfig(observation_size=3, choices=1, classes=3, width=4, layers=1), SimpleNamespace(facts={"game": game})
        )
        found = play_episodes(fleet, model.player(fleet, "both", None), 4)
    assert [e["length"] for e in found] == [2, 2, 4, 4]


def test_shares_of_success_are_measured_where_every_episode_tells_them():
    episodes = [{"return": 1.0, "length": 2, "is_success": value, "success_once": 1.0} for value in (True, False)]
    assert {name: metric.value for name, metric in episode_metrics(episodes).items()} == {
        "return": 1.0,
        "length": 2.0,
        "success": 0.5,
        "success once": 1.0,
    }
    assert set(episode_metrics([*episodes, {"return": 0.0, "length": 1}])) == {"return", "length"}
