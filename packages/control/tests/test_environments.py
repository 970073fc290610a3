"""Fleets, rollouts, episodes on disk."""

import json
from functools import partial

import numpy as np
import pytest

from omnitrain.errors import DataError, UsageError
from omnitrain_control.environments import make_environment
from omnitrain_control.episodes import EpisodeStore, EpisodeWriter
from omnitrain_control.fleets import Fleet
from omnitrain_control.rollouts import Collector, Decision, play_episodes

MAKER = partial(make_environment, "CartPole-v1")


class Alternating:
    """Pushes left and right in turn."""

    def __init__(self, count):
        self.step, self.count = 0, count

    def act(self, observations, first):
        self.step += 1
        actions = [(self.step + row) % 2 for row in range(self.count)]
        return Decision(actions, {"actions": np.array(actions)})


def played(processes):
    with Fleet(MAKER, 3, 7, processes) as fleet:
        return Collector(fleet).collect(Alternating(3), 60)


def test_the_number_of_processes_does_not_change_what_is_played():
    here, apart = played(0), played(2)
    assert np.array_equal(here.observations, apart.observations)
    assert np.array_equal(here.first, apart.first)
    assert [e["length"] for e in here.finished] == [e["length"] for e in apart.finished]


def test_a_fleet_goes_on_from_its_state_in_mid_episode():
    with Fleet(MAKER, 3, 7) as fleet, Fleet(MAKER, 3, 7) as other:
        one, two = Collector(fleet), Collector(other)
        one.collect(Alternating(3), 33)
        two.load_state_dict(one.state_dict())
        actors = [Alternating(3), Alternating(3)]
        a, b = one.collect(actors[0], 40), two.collect(actors[1], 40)
        assert np.array_equal(a.observations, b.observations)
        assert a.finished == b.finished


def test_first_marks_the_step_after_an_end_and_returns_count_from_there():
    rollout = played(0)
    ends = rollout.first[:, 1:].sum()
    assert ends == len(rollout.finished) > 0
    assert rollout.first[:, 0].all()
    assert all(e["return"] == e["length"] for e in rollout.finished)


def test_every_environment_plays_the_same_number_of_episodes():
    with Fleet(MAKER, 3, 7) as fleet:
        found = play_episodes(fleet, Alternating(3), 8)
    assert [e["environment"] for e in found] == [0, 1, 2, 0, 1, 2, 0, 1]


def test_a_fault_in_a_process_is_told_with_its_words():
    with pytest.raises(UsageError, match="gymnasium can't make the environment 'NoSuch-v0'"):
        Fleet(partial(make_environment, "NoSuch-v0"), 1, 0, processes=1)


def test_an_unknown_environment_is_named():
    with pytest.raises(UsageError, match="NoSuch-v0"):
        make_environment("NoSuch-v0")


def episode(length, offset=0.0):
    return {"rewards": np.full(length, offset), "observations": np.arange(length * 2.0).reshape(length, 2)}


def test_episodes_come_back_and_the_best_are_found(tmp_path):
    with EpisodeWriter(tmp_path) as writer:
        for number, length in enumerate((3, 5, 2, 4)):
            writer.add(episode(length, float(number)))
    store = EpisodeStore(tmp_path)
    assert store.lengths.tolist() == [3, 5, 2, 4]
    assert np.array_equal(store.episode(1)["observations"], episode(5)["observations"])
    assert store.best(0.5).tolist() == [1, 3]
    assert store.take("rewards", np.array([[2, 3], [8, 9]])).tolist() == [[0.0, 1.0], [2.0, 2.0]]


def test_episodes_of_other_fields_or_cut_files_are_refused(tmp_path):
    with EpisodeWriter(tmp_path) as writer:
        writer.add(episode(3))
        with pytest.raises(DataError, match="Episode 1 has the fields"):
            writer.add({"rewards": np.zeros(3)})
        with pytest.raises(DataError, match="different numbers of steps"):
            writer.add({"rewards": np.zeros(3), "observations": np.zeros((2, 2))})
    (tmp_path / "rewards.bin").write_bytes(b"1234")
    with pytest.raises(DataError, match=r"rewards\.bin does not have the size"):
        EpisodeStore(tmp_path)
    (tmp_path / "episodes.json").write_text("{")
    with pytest.raises(DataError, match=r"episodes\.json is missing or damaged"):
        EpisodeStore(tmp_path)


def test_an_index_that_names_another_folder_is_refused(tmp_path):
    index = {"lengths": [1], "fields": {"../secret": {"shape": [], "dtype": "<f8"}}}
    (tmp_path / "episodes.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match="can't be read"):
        EpisodeStore(tmp_path)
