"""Returns and bins."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitrain.errors import UsageError
from omnitrain_control.bins import Bins
from omnitrain_control.codecs import codec_of
from omnitrain_control.returns import RewardNormaliser, discounted_returns, generalised_advantages, normalised


@settings(deadline=None)
@given(st.lists(st.floats(-20, 20), min_size=1, max_size=20))
def test_a_bin_centre_is_in_its_own_bin_and_no_further_than_half_a_bin_in_the_linear_scheme(values):
    bins = Bins(10, 2, "linear")
    found = bins.encode(np.array(values))
    assert np.array_equal(bins.encode(bins.decode(found)), found)
    assert np.abs(bins.decode(found) - np.clip(values, -10, 10)).max() <= 1 + 1e-9


@given(st.integers(0, 10))
def test_mu_law_bins_survive_decoding(number):
    bins = Bins()
    assert bins.count == 11
    assert bins.zero == 5
    assert bins.encode(bins.decode(np.array([number])))[0] == number


def test_advantages_with_lambda_one_are_returns_minus_values():
    rewards, values = np.array([[1.0, 2.0, 3.0]]), np.array([[0.5, 0.25, 0.125, 9.0]])
    first = np.array([[0, 0, 0, 1]])
    advantages, targets = generalised_advantages(rewards, values, first, 0.9, 1.0)
    assert targets[0] == pytest.approx(discounted_returns(rewards[0], 0.9))
    assert advantages[0] == pytest.approx(targets[0] - values[0, :3])


def test_nothing_is_bootstrapped_across_the_end_of_an_episode():
    rewards, first = np.zeros((1, 2)), np.array([[0, 1, 0]])
    values = np.array([[0.0, 100.0, 0.0]])
    assert generalised_advantages(rewards, values, first, 1.0, 1.0)[0][0, 0] == 0.0


def test_normalised_advantages_have_mean_zero_and_spread_one():
    found = normalised(np.arange(10.0))
    assert found.mean() == pytest.approx(0)
    assert found.std() == pytest.approx(1)


def test_reward_normaliser_goes_on_from_its_state():
    generator = np.random.default_rng(0)
    chunks = [generator.normal(size=(2, 5)) for _ in range(4)]
    first = np.zeros((2, 5))
    one, other = RewardNormaliser(2), RewardNormaliser(2)
    for chunk in chunks[:2]:
        one(chunk, first)
    other.load_state_dict(one.state_dict())
    assert np.array_equal(one(chunks[2], first), other(chunks[2], first))


def test_continuous_actions_come_back_within_half_a_bin():
    import gymnasium

    codec = codec_of(gymnasium.spaces.Box(-2.0, 4.0, (3,)), bins=64)
    actions = np.random.default_rng(0).uniform(-2, 4, (7, 3))
    classes = codec.encode(actions)
    assert codec.heads == {"action": (3, 64)}
    assert np.abs(codec.decode(classes) - actions).max() <= 6 / 63 / 2 + 1e-9
    with pytest.raises(UsageError, match="no action codec"):
        codec_of(gymnasium.spaces.MultiBinary(3))
