"""Stores that grow, end where they were cut, keep the observation after the last step, and go back to a checkpoint."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from omnitrain.errors import DataError, EnvironmentFault, UsageError
from omnitrain_control.episodes import EpisodeStore, EpisodeWriter
from omnitrain_control.readers.importing import TrajectoryWriter
from omnitrain_control.replay import Replay, Transitions, mixed_draw, offline_rows
from omnitrain_control.trajectories import Trajectories, open_stores


def episode(length, start=0.0, width=2, terminal=True, final=True):
    numbers = start + np.arange(length + final, dtype=np.float32)
    return {
        "observations": np.repeat(numbers[:, None], width, 1),
        "actions": numbers[:length, None] / 100,
        "rewards": np.full(length, -1.0, np.float32),
        "terminals": np.arange(length) == (length - 1 if terminal else -1),
    }


def test_a_folder_is_gone_on_with_behind_its_last_counted_episode(tmp_path):
    with EpisodeWriter(tmp_path, {"game": "x"}, final=("observations",), grow=True) as writer:
        writer.add(episode(3), {"task": "open"})
    for name in ("observations", "rewards"):
        with open(tmp_path / f"{name}.bin", "ab") as file:
            file.write(b"torn")
    assert EpisodeStore(tmp_path).lengths.tolist() == [3]
    with EpisodeWriter(tmp_path, {"game": "x"}, final=("observations",), grow=True) as writer:
        assert len(writer) == 1
        writer.add(episode(2, 10.0), {"task": "close"})
    store = EpisodeStore(tmp_path)
    assert store.lengths.tolist() == [3, 2]
    assert [label["task"] for label in store.labels] == ["open", "close"]
    assert store.episode(1)["observations"][:, 0].tolist() == [10, 11, 12]
    assert store.episode(0)["observations"][:, 0].tolist() == [0, 1, 2, 3]
    assert store.take("observations", np.array([[2, 3]]), after=1)[0, :, 0].tolist() == [3, 11]


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_stores import episode
from omnitrain_control.episodes import EpisodeWriter
writer = EpisodeWriter(Path(sys.argv[1]), final=("observations",), grow=True)
for number in range(5):
    writer.add(episode(4, 10.0 * number))
    if number == 2:
        writer.commit()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_after_a_kill_all_that_was_made_safe_is_there_and_nothing_else(tmp_path):
    code = KILLED.format(tests=os.path.dirname(__file__))
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    with EpisodeWriter(tmp_path, final=("observations",), grow=True) as writer:
        assert len(writer) == 3
        writer.add(episode(1, 90.0))
    assert [e["observations"][0, 0] for e in map(EpisodeStore(tmp_path).episode, range(4))] == [0, 10, 20, 90]


def test_other_fields_and_other_last_rows_are_refused(tmp_path):
    with EpisodeWriter(tmp_path, {"game": "x"}, final=("observations",), grow=True) as writer:
        writer.add(episode(3))
    with pytest.raises(DataError, match="keeps a last row of observations, and is gone on with as if it did of none"):
        EpisodeWriter(tmp_path, grow=True)
    with pytest.raises(DataError, match=r"holds episodes of .*'x'.*: write into a new folder"):
        EpisodeWriter(tmp_path, {"game": "y"}, final=("observations",), grow=True)
    with EpisodeWriter(tmp_path, final=("observations",), grow=True) as writer:
        with pytest.raises(DataError, match="different numbers of steps"):
            writer.add(episode(3, final=False))
        with pytest.raises(DataError, match="Episode 1 has the fields"):
            writer.add(episode(3, width=5))


def test_a_store_that_was_cut_is_refused_or_ends_before_the_cut(tmp_path):
    with EpisodeWriter(tmp_path) as writer:
        for length in (3, 2, 4):
            writer.add(episode(length, final=False))
    with open(tmp_path / "actions.bin", "r+b") as file:
        file.truncate(4 * 6)
    with pytest.raises(DataError, match=r"actions\.bin .* was cut short and holds 2 of 3 episodes: .*broken: skip"):
        EpisodeStore(tmp_path)
    store = EpisodeStore(tmp_path, cut="skip")
    assert (store.lengths.tolist(), store.lost) == ([3, 2], 1)
    assert len(store.fields["rewards"]) == 5


def test_a_full_disk_leaves_the_episodes_before_as_they_were(tmp_path, monkeypatch):
    writer = EpisodeWriter(tmp_path, final=("observations",), grow=True)
    writer.add(episode(3))
    import omnitrain_control.episodes as module

    whole, calls = module._write_all, []

    def full(file, content):
        calls.append(file)
        if len(calls) == 2:
            whole(file, content[:4])
            raise OSError(28, "No space left on device")
        whole(file, content)

    monkeypatch.setattr(module, "_write_all", full)
    with pytest.raises(EnvironmentFault, match=r"No space left on device\. The 1 episodes before are whole; make room"):
        writer.add(episode(2, 50.0))
    writer.add(episode(2, 70.0))
    writer.close()
    assert EpisodeStore(tmp_path).episode(1)["observations"][:, 0].tolist() == [70, 71, 72]


def test_episodes_of_several_widths_are_one_set(tmp_path):
    for grown in (False, True):
        with TrajectoryWriter(tmp_path, grow=grown) as writer:
            writer.add(episode(3, width=2))
            writer.add(episode(2, 10.0, width=4))
            writer.add(episode(1, 20.0, width=2))
    found = Trajectories(open_stores(tmp_path))
    assert found.lengths.tolist() == [3, 1, 3, 1, 2, 2]
    assert found.shapes["observations"] == (4,)
    assert found.dimensions("observations").tolist() == [[True, True, False, False], [True] * 4]
    both = found.transitions(np.array([2, 9]))
    assert both["next_observations"].tolist() == [[3, 3, 0, 0], [12, 12, 12, 12]]
    assert both["terminals"].tolist() == [True, True]


def test_without_last_rows_only_terminal_steps_end_an_episode(tmp_path):
    with EpisodeWriter(tmp_path) as writer:
        writer.add(episode(3, final=False, terminal=False))
        writer.add(episode(2, 10.0, final=False))
    found = Trajectories(open_stores(tmp_path))
    assert list(found.usable) == [0, 1, 3, 4]
    assert found.transitions(found.usable)["next_observations"][:, 0].tolist() == [1, 2, 11, 11]
    with pytest.raises(DataError, match="does not hold what observations are after an episode's last step"):
        found.stores[0].take("observations", np.array([2]), after=1)


def test_a_replay_goes_back_to_its_checkpoint_and_draws_the_same(tmp_path):
    def collect(replay, begin, end):
        for number in range(begin, end):
            replay.add(episode(3 + number, 100.0 * number, terminal=number % 2 == 0), {"direction": "forward"})

    with Replay(tmp_path, gamma=0.99, failure=-1.0) as replay:
        collect(replay, 0, 3)
        state = json.loads(json.dumps(replay.state_dict()))
        assert state == {"episodes": 3, "steps": 12}
        collect(replay, 3, 5)
        expected = replay.draw(64, np.random.default_rng(7))
    with Replay(tmp_path, gamma=0.99, failure=-1.0) as replay:
        assert replay.episodes == 5
        replay.load_state_dict(state)
        assert (replay.episodes, len(replay)) == (3, 12)
        collect(replay, 3, 5)
        found = replay.draw(64, np.random.default_rng(7))
        assert len({values.shape for values in found.values()}) > 1
        assert all(np.array_equal(found[name], expected[name]) for name in expected)
        assert found["mc_returns"].tolist() == pytest.approx([-100.0] * 64)
        replay.load_state_dict({"episodes": 0, "steps": 0})
        with pytest.raises(EnvironmentFault, match="holds 0 episodes, which are not the 3 of 12 steps"):
            replay.load_state_dict(state)


def test_every_online_transition_has_the_return_of_its_own_episode(tmp_path):
    with Replay(tmp_path, gamma=0.5, failure=-1.0) as replay:
        won = {**episode(2, 0.0), "rewards": np.array([-1, 0], np.float32)}
        replay.add(won)
        replay.add(episode(2, 10.0, terminal=False))
        assert replay.trajectories.gather("mc_returns", *replay.trajectories.place(np.arange(4))).tolist() == [-1, 0, -2, -2]
        with pytest.raises(DataError, match=r"Episode 2 would be one of the .*not finite \(rewards of step 1\)"):
            replay.add({**won, "rewards": np.array([-1, np.nan], np.float32)})
        with pytest.raises(DataError, match="lacks terminals"):
            replay.add({name: values for name, values in won.items() if name != "terminals"})


def test_a_replay_draws_from_the_last_of_its_capacity(tmp_path):
    with Replay(tmp_path, capacity=2) as replay:
        with pytest.raises(UsageError, match="holds no episode yet"):
            replay.draw(1, np.random.default_rng(0))
        replay.add(episode(5))
        assert len(replay) == 2
        assert set(replay.draw(50, np.random.default_rng(0))["observations"][:, 0].tolist()) == {3, 4}


def test_batches_hold_their_offline_share_however_little_is_online(tmp_path):
    with EpisodeWriter(tmp_path / "offline", final=("observations",)) as writer:
        writer.add(episode(20))
    offline = Transitions(Trajectories(open_stores(tmp_path / "offline")))
    with Replay(tmp_path / "online") as online:
        none = mixed_draw(offline, online, 9, 0.5, np.random.default_rng(0))
        assert none["offline"].all()
        assert len(none["offline"]) == 9
        online.add(episode(1, 500.0))
        few = mixed_draw(offline, online, 9, 0.5, np.random.default_rng(0))
        assert few["offline"].tolist() == [True] * 4 + [False] * 5
        assert (few["observations"][:, 0] < 500).tolist() == few["offline"].tolist()
    with pytest.raises(UsageError, match="mixing ratio is 2"):
        offline_rows(8, 2, 1, 1)
