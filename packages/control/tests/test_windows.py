"""Windows and returns: as the golden vectors of L2M and Cal-QL say, in one gather, drawn in proportion to length."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitrain.api import BatchPlan
from omnitrain_control.episodes import EpisodeStore, EpisodeWriter
from omnitrain_control.replay import offline_rows
from omnitrain_control.returns import discounted_returns, monte_carlo_returns, returns_from_target, returns_to_go
from omnitrain_control.trajectories import Trajectories
from omnitrain_control.windows import StepStream, drawn_steps, window_steps

GOLDEN = Path(__file__).parent / "golden"


def cases(name):
    return json.loads((GOLDEN / name).read_text())["cases"]


@pytest.mark.parametrize("case", cases("robofume/mc_returns.json"), ids=range(7))
def test_monte_carlo_returns_are_those_of_cal_ql(case):
    given, wanted = case["input"], case["output"]
    rewards = np.array(given["raw_rewards"], np.float32) * given["reward_scale"] + given["reward_bias"]
    assert rewards.tolist() == pytest.approx(given["scaled_rewards"])
    failure = given["failure_reward_raw"] * given["reward_scale"] + given["reward_bias"]
    terminals, length = np.array(given["terminals"]), np.array([len(wanted)])
    found = monte_carlo_returns(rewards, length, given["gamma"], failure if given["is_sparse"] else None, terminals)
    assert found.dtype == np.float32
    assert found.tolist() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("case", cases("robofume/batch_mixing.json"), ids=range(4))
def test_the_offline_share_of_a_batch_is_cut_off_not_rounded(case):
    given, wanted = case["input"], case["output"]
    held = given["offline_transitions"], given["online_transitions"]
    assert offline_rows(given["batch_size"], given["mixing_ratio"], *held) == (wanted["ratio"], wanted["offline"])
    assert given["batch_size"] - wanted["offline"] == wanted["online"]


@pytest.mark.parametrize("case", cases("l2m/returns_to_go.json"), ids=range(6))
def test_returns_to_go_are_those_of_l2m(case):
    rewards, target = np.array(case["input"]["rewards"], np.float32), case["input"].get("target_return")
    if target is None:
        assert returns_to_go(rewards, np.array([len(rewards)])).tolist() == case["output"]
    else:
        assert returns_from_target(rewards, target).tolist() == case["output"]


@pytest.mark.parametrize("case", cases("l2m/trajectory_window.json"), ids=lambda case: str(case["input"]["start"]))
def test_windows_are_those_of_l2m(case, tmp_path):
    given, wanted = case["input"], case["output"]
    names = ("observations", "actions", "rewards")
    stores = [("own", {name: np.array(given[name], np.float32) for name in names})]
    if given["max_state_dim"] is not None:
        wide = {"observations": np.zeros((1, given["max_state_dim"])), "actions": np.zeros((1, given["max_act_dim"]))}
        stores.append(("wide", {"rewards": np.zeros(1, np.float32), **{n: v.astype(np.float32) for n, v in wide.items()}}))
    for name, episode in stores:
        with EpisodeWriter(tmp_path / name) as writer:
            writer.add(episode)
    found = Trajectories([EpisodeStore(tmp_path / name) for name, _ in stores])
    window = found.windows(np.array([0]), np.array([given["start"]]), given["context_len"])
    for name, expected in wanted.items():
        expected = np.array(expected)
        # L2M sums in float32, we in float64: the last bit differs.
        tolerance = 2e-7 if name == "returns_to_go" else 0.0
        assert window[name][0].reshape(expected.shape) == pytest.approx(expected, rel=tolerance, abs=0.0), name


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.integers(0, 7), min_size=1, max_size=6).filter(any),
    st.integers(1, 9),
    st.sampled_from(["left", "right"]),
    st.data(),
)
def test_a_window_is_what_slicing_and_padding_give(lengths, size, pad, data):
    episodes = data.draw(st.lists(st.sampled_from([n for n, length in enumerate(lengths) if length]), min_size=1, max_size=5))
    starts = [data.draw(st.integers(0, lengths[episode] - 1)) for episode in episodes]
    steps, real = window_steps(np.array(starts), np.array(lengths)[episodes], size, pad)
    for row, (episode, start) in enumerate(zip(episodes, starts, strict=True)):
        held = list(range(start, min(start + size, lengths[episode])))
        missing = size - len(held)
        assert real[row].tolist() == ([False] * missing + [True] * len(held))[:: 1 if pad == "left" else -1]
        edge = [held[0]] * missing + held if pad == "left" else held + [held[-1]] * missing
        assert steps[row].tolist() == edge


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.floats(-5, 5, width=32), max_size=6), min_size=1, max_size=5), st.floats(0, 1))
def test_returns_of_many_episodes_are_those_of_each(episodes, gamma):
    lengths = np.array([len(rewards) for rewards in episodes])
    found = returns_to_go(np.array([r for rewards in episodes for r in rewards]), lengths, gamma)
    wanted = [v for rewards in episodes for v in discounted_returns(np.array(rewards, np.float64), gamma).astype(np.float32)]
    assert found.tolist() == wanted


def test_episodes_are_drawn_in_proportion_to_their_length_by_seed_and_number_alone():
    lengths = np.array([10, 30, 60])
    draws = np.concatenate([drawn_steps(100, 500, 3, number) for number in range(20)])
    shares = np.bincount(np.searchsorted(np.cumsum(lengths), draws, side="right")) / len(draws)
    assert shares.tolist() == pytest.approx([0.1, 0.3, 0.6], abs=0.02)
    assert np.array_equal(drawn_steps(100, 8, 3, 11), drawn_steps(100, 8, 3, 11))
    assert not np.array_equal(drawn_steps(100, 8, 3, 11), drawn_steps(100, 8, 4, 11))


def test_a_stream_goes_on_by_one_number_and_shares_its_draws_out():
    def stream(**plan):
        return StepStream(lambda steps: {"steps": steps}, 50, np.arange(7), BatchPlan(4, 5, **plan))

    straight = iter(stream())
    first = [next(straight)["steps"].tolist() for _ in range(5)]
    again = stream()
    again.load_state_dict({"next": 3})
    assert [next(iter(again))["steps"].tolist()] == first[3:4]
    assert again.state_dict() == {"next": 4}
    shared = [next(iter(stream(rank=rank, world=2)))["steps"].tolist() for rank in (0, 1)]
    assert sorted(shared[0] + shared[1]) == sorted(drawn_steps(50, 8, 5, 0).tolist())
    assert [batch["steps"].tolist() for batch in stream(train=False)] == [[0, 1, 2, 3], [4, 5, 6]]
