"""The composition as pure functions: identities, -inf, dials, filters."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitrain.errors import NumericalError, UsageError
from omnitrain_eft.paper.composition import (
    Dials,
    check_distribution,
    combine,
    cut_to_nucleus,
    implicit_reward,
    in_float32,
    normalised_improvement,
    nucleus,
    total_variation,
)

INF = torch.inf


def logits(seed, *shape):
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def law(z):
    return z.softmax(-1)


def test_equal_fine_tuned_and_base_give_the_large_base():
    large, small = logits(0, 4, 9), logits(1, 4, 9)
    assert torch.allclose(combine(large, [small], [small], Dials()), large)


def test_equal_large_and_small_base_give_the_fine_tuned_model():
    base, expert = logits(0, 4, 9), logits(1, 4, 9)
    assert torch.allclose(law(combine(base, [expert], [base], Dials())), law(expert))


def test_alpha_zero_gives_the_large_base_exactly():
    large, expert, base = logits(0, 9), logits(1, 9), logits(2, 9)
    assert torch.equal(combine(large, [expert], [base], Dials(alpha=0.0)), large)


def test_beta_up_zero_gives_the_fine_tuned_small_model():
    large, expert, base = logits(0, 9), logits(1, 9), logits(2, 9)
    assert torch.allclose(law(combine(large, [expert], [base], Dials(beta_up=0.0))), law(expert))


@pytest.mark.parametrize("dials", [{"alpha": 1.7}, {"beta_up": 1.7}])
def test_dials_have_the_coefficients_of_the_paper(dials):
    large, expert, base = logits(0, 9), logits(1, 9), logits(2, 9)
    a, b = dials.get("alpha", 1.0), dials.get("beta_up", 1.0)
    expected = large + a * (expert - base) if "alpha" in dials else b * large + expert - b * base
    assert torch.allclose(combine(large, [expert], [base], Dials(**dials)), expected)


def test_both_dials_turned_are_refused():
    with pytest.raises(UsageError, match="only one may be turned"):
        Dials(alpha=2.0, beta_up=2.0)


def test_raw_logits_and_log_probabilities_give_the_same_law():
    large, expert, base = logits(0, 5, 9), logits(1, 5, 9), logits(2, 5, 9)
    raw = combine(large, [expert], [base], Dials())
    normal = combine(large.log_softmax(-1), [expert.log_softmax(-1)], [base.log_softmax(-1)], Dials())
    assert torch.allclose(law(raw), law(normal))


def test_several_experts_with_own_bases_and_a_negative_weight_add_up():
    large, first, second, base, other = (logits(i, 9) for i in range(5))
    z = combine(large, [first, second], [base, other], Dials(weights=(1.5, -0.5)), base)
    assert torch.allclose(z, large + 1.5 * (first - base) - 0.5 * (second - other))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(*[st.one_of(st.floats(-8, 8), st.just(-INF))] * 3), min_size=2, max_size=8),
    st.sampled_from([Dials(), Dials(alpha=2.0), Dials(beta_up=1.5), Dials(alpha=-0.5), Dials(delta_top_p=0.8)]),
)
def test_infinities_never_give_nan_or_a_positive_infinity(rows, dials):
    large, expert, base = torch.tensor(rows, dtype=torch.float64).T
    large[0] = expert[0] = base[0] = 0.0
    z = combine(large, [expert], [base], dials)
    assert not torch.isnan(z).any()
    assert not torch.isposinf(z).any()
    assert torch.isfinite(z[0])


def test_infinities_in_each_place_are_treated_as_the_paper_card_says():
    large, expert, base = torch.zeros(5), torch.zeros(5), torch.zeros(5)
    large[1] = -INF  # only the large base: dropped
    expert[2] = -INF  # only the fine-tuned model: dropped
    base[3] = -INF  # only the small base: raised to the floor
    expert[4] = base[4] = -INF  # both small ones: no change
    z = combine(large, [expert], [base], Dials(base_floor=-10.0))
    assert torch.isneginf(z[1])
    assert torch.isneginf(z[2])
    assert float(z[3]) == pytest.approx(10.0 - float(torch.logsumexp(base, 0)))
    assert float(z[4]) == float(large[4])


def test_a_token_that_an_expert_excludes_stays_out_under_a_negative_weight():
    expert = torch.tensor([0.0, -INF, 0.0])
    z = combine(torch.zeros(3), [expert], [torch.zeros(3)], Dials(weights=(-1.0,)))
    assert torch.isneginf(z[1])


def test_rows_without_any_token_and_nan_logits_are_named():
    with pytest.raises(NumericalError, match="nothing to draw"):
        check_distribution(torch.full((2, 3), -INF))
    with pytest.raises(NumericalError, match="NaN or infinity"):
        check_distribution(torch.tensor([[0.0, float("nan")]]))
    check_distribution(torch.tensor([[0.0, -INF]]))


def test_bfloat16_models_are_combined_in_float32():
    large, expert, base = (logits(i, 3, 40).to(torch.bfloat16) for i in range(3))
    z = combine(large, [expert], [base], Dials())
    assert z.dtype is torch.float32
    assert torch.allclose(z, in_float32(large) + in_float32(expert) - in_float32(base))


def test_extra_rows_of_an_expert_are_cut():
    large, expert, base = logits(0, 7), logits(1, 9), logits(2, 8)
    assert torch.allclose(combine(large, [expert], [base], Dials()), large + expert[:7] - base[:7])


@given(st.lists(st.floats(-6, 6), min_size=1, max_size=12), st.floats(0.05, 1.0))
def test_nucleus_keeps_a_token_iff_the_mass_before_it_is_below_p(values, top_p):
    z = torch.tensor(values, dtype=torch.float64)
    kept, p = nucleus(z, top_p), z.softmax(0)
    assert kept.any()
    order = torch.argsort(z, descending=True, stable=True)
    before = 0.0
    for place, token in enumerate(order.tolist()):
        assert bool(kept[token]) == (before < top_p or place == 0) or abs(before - top_p) < 1e-9
        before += float(p[token])


def test_delta_filter_leaves_the_small_model_outside_its_nucleus():
    large, expert, base = logits(0, 30), logits(1, 30), logits(2, 30)
    z = combine(large, [expert], [base], Dials(delta_top_p=0.7)).log_softmax(-1)
    small = expert.log_softmax(-1)
    outside = ~nucleus(small, 0.7)
    shift = (z - small)[outside]
    assert outside.any()
    assert torch.allclose(shift, shift[0].expand_as(shift))


def test_cut_keeps_ties_apart_by_id():
    assert cut_to_nucleus(torch.zeros(4), 0.5).tolist() == [0.0, 0.0, -INF, -INF]


def test_reward_and_distance_and_improvement_on_known_numbers():
    expert, base = torch.tensor([[0.0, 0.0]]), torch.log(torch.tensor([[0.8, 0.2]]))
    assert float(implicit_reward(expert, base, torch.tensor([1]), 2.0)) == pytest.approx(
        2 * float(torch.log(torch.tensor(2.5)))
    )
    assert float(total_variation(expert.log_softmax(-1), base)) == pytest.approx(0.3)
    assert normalised_improvement(0.9, 0.5, 1.0) == pytest.approx(0.8)
    assert normalised_improvement(0.9, 0.5, 0.5) != normalised_improvement(0.9, 0.5, 0.5)
