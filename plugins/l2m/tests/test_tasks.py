"""Data of several tasks: one space, domains in turn, draws by length, and what is refused."""

import numpy as np
import pytest

from omnitrain.api import BatchPlan
from omnitrain.errors import DataError, UsageError
from omnitrain_l2m.configs.data import TasksConfig
from omnitrain_l2m.data.tasks import build
from omnitrain_l2m.spaces.domains import builtin_domains
from omnitrain_testing.contexts import FakeContext


def write(path, lengths=(12, 4, 30), states=39, width=4, seed=0, **changed):
    generator, steps = np.random.default_rng(seed), sum(lengths)
    arrays = {
        "observations": generator.normal(size=(steps, states)).astype(np.float32),
        "actions": generator.uniform(-1, 1, (steps, width)).astype(np.float32),
        "rewards": generator.normal(size=steps).astype(np.float32),
        "dones": np.isin(np.arange(steps), np.cumsum(lengths) - 1),
        **changed,
    }
    np.savez(path, **{name: values for name, values in arrays.items() if values is not None})
    return str(path)


def made(tmp_path, tasks, **settings):
    data = build(TasksConfig(tasks=tasks, valid_fraction=0, **settings), FakeContext(tmp_path))
    data.prepare(tmp_path / "work", FakeContext(tmp_path))
    return data


def two_domains(tmp_path):
    return [
        {"name": "hammer", "domain": "metaworld", "path": write(tmp_path / "a.npz")},
        {"name": "cartpole", "domain": "dmcontrol", "path": write(tmp_path / "b.npz", (20, 25), 204, 1)},
    ]


def test_files_of_39_and_204_numbers_become_one_space(tmp_path):
    data = made(tmp_path, two_domains(tmp_path))
    found = data.collate([0, 1, data.sources[0].held.trajectories.steps])
    assert found["observations"].shape == (3, 5, 204)
    assert found["actions"].shape == (3, 5, 6)
    assert not found["observations"][:2, :, 39:].any()
    assert found["observations"][2, :, 39:].any()
    assert found["action_mask"].sum(-1).tolist() == [[4] * 5, [4] * 5, [1] * 5]
    inner = data.sources[0].held.trajectories
    expected = inner.returns_to_go(np.zeros(1, np.int64), np.arange(5)[None]) / np.float32(200)
    np.testing.assert_array_equal(found["returns_to_go"][0].numpy(), expected[0])


def test_short_trajectories_are_left_out_and_ends_are_padded_on_the_left(tmp_path):
    data = made(tmp_path, two_domains(tmp_path)[:1])
    held = data.sources[0].held.trajectories
    assert held.lengths.tolist() == [12, 30]
    last = data.collate([11])
    assert last["attention_mask"].tolist() == [[False] * 4 + [True]]
    assert last["timesteps"][0, -1] == 11


@pytest.mark.parametrize(("alternate", "expected"), [("batches", [{0}, {1}, {0}, {1}]), ("parts", [{0, 1}] * 4)])
def test_domains_take_turns(tmp_path, alternate, expected):
    data = made(tmp_path, two_domains(tmp_path), alternate=alternate)
    border = data.sources[0].held.trajectories.steps
    stream = data.batches("train", BatchPlan(8, 3, train=True))
    batches = [next(iter(stream)) for _ in range(4)]
    assert [set((b["example_ids"] >= border).astype(int).tolist()) for b in batches] == expected
    if alternate == "parts":
        assert all((b["example_ids"][:4] < border).all() for b in batches)


def test_a_stream_goes_on_where_it_was(tmp_path):
    data = made(tmp_path, two_domains(tmp_path))
    plan = BatchPlan(8, 3, train=True)
    first, second = data.batches("train", plan), data.batches("train", plan)
    before = [next(iter(first))["example_ids"].tolist() for _ in range(5)]
    second.load_state_dict({"next": 3})
    assert [next(iter(second))["example_ids"].tolist() for _ in range(2)] == before[3:]


def test_trajectories_are_drawn_in_proportion_to_their_lengths(tmp_path):
    data = made(tmp_path, two_domains(tmp_path)[:1])
    drawn = next(iter(data.batches("train", BatchPlan(4000, 1, train=True))))["example_ids"]
    assert (drawn < 12).mean() == pytest.approx(12 / 42, abs=0.03)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"actions": np.full((46, 4), 2.0, np.float32)}, r"actions outside \[-1, 1\]"),
        ({"rewards": np.full(46, np.nan, np.float32)}, "not finite"),
        ({"dones": None}, "end"),
        ({"observations": np.zeros((46, 50), np.float32)}, "observations of 50 numbers, the slot of metaworld has 39"),
        ({"actions": np.zeros((46, 7), np.float32)}, "7 actions, the unified space has 6"),
    ],
)
def test_bad_trajectories_are_refused(tmp_path, changed, said):
    path = write(tmp_path / "a.npz", **changed)
    with pytest.raises(DataError, match=said) as raised:
        made(tmp_path, [{"name": "hammer", "domain": "metaworld", "path": path}])
    assert raised.value.exit_code == 4


def test_unknown_worlds_and_domains_are_named(tmp_path):
    with pytest.raises(UsageError, match="no world 'plain-straight'; expected one of plane-straight"):
        made(tmp_path, [{"name": "plain-straight"}])
    with pytest.raises(UsageError, match="of the domain 'atari'; expected one of metaworld"):
        made(tmp_path, [{"name": "pong", "domain": "atari", "path": "x.npz"}])
    with pytest.raises(UsageError, match="knows no task 'hamer'"):
        builtin_domains()["metaworld"].known("target_returns", "hamer")


def test_meta_world_tasks_of_today_have_the_scores_of_their_older_names():
    domain = builtin_domains()["metaworld"]
    assert domain.known("target_returns", "hammer-v3") == domain.known("target_returns", "hammer-v2")
    assert builtin_domains()["dmcontrol"].known("scores", "point_mass-easy")[0] == pytest.approx(1.341)
