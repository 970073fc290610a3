"""Mixtures and their sampler."""

import json

import numpy as np
import pytest

from omnitrain.errors import DataError, UsageError
from omnitrain_ul2.paper.denoisers import UL2_DENOISERS
from omnitrain_ul2.paper.mixtures import MIXTURES, Mixture, MixtureSampler, generator_state, mixture, restore_generator

# Chi-square limits at p = 0.001 by degrees of freedom.
LIMITS = {2: 13.8, 3: 16.3, 6: 22.5}


@pytest.mark.parametrize(
    "drawn",
    [
        mixture("uniform"),
        mixture("balanced"),
        mixture("ul2r"),
        mixture("balanced", [3, 1, 1, 1, 1, 1, 2]),
        mixture("unified_lm"),
    ],
    ids=["uniform", "balanced", "ul2r", "user", "unified_lm"],
)
def test_one_batch_of_512_is_mixed_by_the_rates(drawn):
    counts = np.bincount(MixtureSampler(drawn, 0).draw(512), minlength=len(drawn.rates))
    expected = 512 * np.array(drawn.probabilities)
    assert (counts > 0).all()
    assert ((counts - expected) ** 2 / expected).sum() < LIMITS[len(counts) - 1]


def test_sampler_resumes_to_the_bit_from_json():
    whole, first = MixtureSampler(mixture("balanced"), 3), MixtureSampler(mixture("balanced"), 3)
    expected = whole.draw(1000)
    begun = first.draw(333)
    resumed = MixtureSampler(mixture("balanced"), 99)
    resumed.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert (np.concatenate([begun, resumed.draw(667)]) == expected).all()
    assert (resumed.counts == whole.counts).all()
    assert resumed.state_dict() == whole.state_dict()


def test_state_of_another_mixture_is_refused():
    state = MixtureSampler(mixture("ul2r"), 0).state_dict()
    with pytest.raises(DataError, match="resume with the mixture"):
        MixtureSampler(mixture("balanced"), 0).load_state_dict(state)


def test_generator_state_restores_and_damage_is_refused():
    generator = np.random.default_rng(1)
    generator.integers(0, 5, 3, dtype=np.uint32)
    state = json.loads(json.dumps(generator_state(generator)))
    expected = generator.integers(0, 1000, 20, dtype=np.uint32)
    other = np.random.default_rng(2)
    restore_generator(other, state)
    assert (other.integers(0, 1000, 20, dtype=np.uint32) == expected).all()
    with pytest.raises(DataError, match="cannot be read"):
        restore_generator(other, {**state, "state": {"state": "x", "inc": "1"}})
    with pytest.raises(DataError, match="PCG64"):
        generator_state(np.random.Generator(np.random.Philox(0)))


def test_a_rate_of_zero_is_never_drawn():
    drawn = MixtureSampler(mixture("balanced", [0, 0, 0, 0, 0, 0, 1]), 0).draw(200)
    assert (drawn == 6).all()
    drawn = MixtureSampler(mixture("balanced", [1, 0, 0, 0, 0, 0, 0]), 0).draw(200)
    assert (drawn == 0).all()


def test_wrong_mixtures_are_refused():
    with pytest.raises(UsageError, match="is unknown; use one of uniform"):
        mixture("best")
    with pytest.raises(UsageError, match="7 denoisers and 2 rates"):
        mixture("uniform", [1, 2])
    with pytest.raises(UsageError, match="at least 0"):
        Mixture(UL2_DENOISERS, (0.0,) * 7)


def test_presets_have_the_papers_rates():
    assert MIXTURES["balanced"].probabilities == pytest.approx((0.2, 0.2, 0.1, 0.1, 0.1, 0.1, 0.2))
    assert [d.name for d in MIXTURES["ul2r"].denoisers] == ["S(0.25)", "R(3,0.15)", "X(32,0.15)", "X(3,0.5)"]
    assert all(sum(m.probabilities) == pytest.approx(1) for m in MIXTURES.values())
