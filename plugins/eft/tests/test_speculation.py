"""Speculation: the same text greedily, the same law when sampled, with ragged acceptance."""

from collections import Counter

import pytest
import torch
from eft_models import VOCABULARY, ensemble_of, gpt2, random_prompts
from hypothesis import given
from hypothesis import strategies as st

from omnitrain_eft import speculative
from omnitrain_eft.composition import Dials
from omnitrain_eft.decoder import CompositionDecoder
from omnitrain_eft.ensemble import Ensemble, Prompts
from omnitrain_eft.generation import Settings, generate
from omnitrain_eft.processors import Processing
from omnitrain_eft.speculation import BlockSize, Verdict, draw, ideal_speedup, residual, tokens_per_round, verify
from omnitrain_eft.speculative import generate_speculatively
from omnitrain_eft.tables import table_ensemble, text_law

GREEDY = Processing(temperature=0.0)
EOS = [1]


@pytest.fixture(scope="module")
def close():
    """An ensemble whose draft is right about half of the time."""
    small, large = gpt2(1, 16, 1), gpt2(2, 32, 0)
    large.lm_head.weight.data *= 0.35
    return ensemble_of(large, small, gpt2(1, 16, 2, scale=2.0))


@pytest.fixture(scope="module")
def plainly(close):
    """200 prompts, an end that some texts meet, and what plain decoding makes of them."""
    prompts = random_prompts(200, 11)
    endless = generate(CompositionDecoder(close, Dials()), prompts, Settings(10, GREEDY), [], 0).rows
    end = Counter(token for row in endless for token in row[2:8]).most_common(3)[-1][0]
    made = generate(CompositionDecoder(close, Dials()), prompts, Settings(8, GREEDY), [end], 0)
    assert 10 < sum(made.ended) < 190
    return prompts, end, made


@pytest.mark.parametrize("block", [1, 2, 4, 8])
@pytest.mark.parametrize("batch", [1, 8])
def test_greedy_speculation_equals_greedy_decoding_on_200_prompts(close, plainly, block, batch):
    prompts, end, plain = plainly
    settings, found, ended, counts = Settings(8, GREEDY, block_size=block), [], [], Counter()
    for first in range(0, 200, batch):
        made = generate_speculatively(close, Dials(), prompts[first : first + batch], settings, [end], 0)
        found += made.rows
        ended += made.ended
        counts.update(vars(made.counts))
    assert found == plain.rows
    assert ended == plain.ended
    assert counts["accepted"] > 0
    assert counts["rejected"] > 0


def test_prompts_of_their_own_and_penalties_leave_greedy_speculation_exact(close):
    prompts = random_prompts(8, 4)
    own = Prompts(prompts, [[[5, *p] for p in prompts], [[*p, 6] for p in prompts]])
    processing = Processing(0.0, repetition_penalty=1.3, no_repeat_ngram_size=3, min_new_tokens=5, banned_ids=(7,))
    plain = generate(CompositionDecoder(close, Dials()), own, Settings(20, processing), EOS, 0)
    found = generate_speculatively(close, Dials(), own, Settings(20, processing, block_size=3), EOS, 0)
    assert found.rows == plain.rows


MIXTURES = [
    Dials(weights=(1.5, -0.5)),
    Dials(beta_up=1.4, weights=(0.6, 0.4)),
    Dials(delta_top_p=0.9, weights=(1.0, 0.5)),
]


@pytest.mark.parametrize("dials", MIXTURES)
def test_several_experts_with_own_bases_are_exact(dials):
    models = [gpt2(1, 16, seed) for seed in range(1, 5)]
    several = Ensemble(gpt2(2, 32, 0), models, [0, 1], [2, 3], 2, 0, VOCABULARY)
    prompts = random_prompts(6, 9)
    plain = generate(CompositionDecoder(several, dials), prompts, Settings(16, GREEDY), EOS, 0)
    for draft in (None, 1):
        settings = Settings(16, GREEDY, block_size=3, draft=draft)
        assert generate_speculatively(several, dials, prompts, settings, EOS, 0).rows == plain.rows


def test_an_end_and_the_length_limit_inside_an_accepted_block_end_the_row():
    chain = torch.full((6, 6), -30.0)
    for source, target in ((2, 3), (3, 4), (4, 1), (1, 5), (5, 5)):
        chain[source, target] = 30.0
    certain = table_ensemble([torch.zeros(6, 6), chain, torch.zeros(6, 6)])
    found = generate_speculatively(certain, Dials(), [[2], [5]], Settings(7, GREEDY, block_size=8), [1], 0)
    assert found.rows == [[3, 4, 1], [5] * 7]
    assert found.ended == [True, False]


def tables(seed=5, size=6):
    generator = torch.Generator().manual_seed(seed)
    return [1.2 * torch.randn(size, size, generator=generator) for _ in range(3)]


def chi_square(texts, law):
    counts, total = Counter(texts), len(texts)
    expected = {text: total * p for text, p in law.items()}
    assert set(counts) <= {text for text, p in law.items() if p > 0}
    usual = [text for text, e in expected.items() if e >= 5]
    rest = total - sum(counts[t] for t in usual), total - sum(expected[t] for t in usual)
    statistic = sum((counts[t] - expected[t]) ** 2 / expected[t] for t in usual)
    freedom = len(usual) - 1
    if rest[1] >= 1:
        statistic, freedom = statistic + (rest[0] - rest[1]) ** 2 / rest[1], freedom + 1
    # Wilson and Hilferty: the cube root of chi-square over its freedom is nearly normal.
    return ((statistic / freedom) ** (1 / 3) - (1 - 2 / (9 * freedom))) / (2 / (9 * freedom)) ** 0.5


def sampled(processing, block, draws=20_000, batch=2_000):
    three = tables()
    small = table_ensemble(three)
    texts, rejected = [], 0
    for first in range(0, draws, batch):
        settings = Settings(3, processing, seed=1, first_text=first, block_size=block)
        made = generate_speculatively(small, Dials(), [[2]] * batch, settings, [], 0)
        texts += [tuple(row) for row in made.rows]
        rejected += made.counts.rejected
    law = text_law(lambda last: processing.warp(three[0][last] + three[1][last] - three[2][last]), 2, 3)
    return chi_square(texts, law), rejected


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.7, 0.9)])
@pytest.mark.parametrize("block", [1, 2])
def test_sampled_speculation_has_the_law_of_the_composition(temperature, top_p, block):
    deviation, rejected = sampled(Processing(temperature=temperature, top_p=top_p), block)
    assert deviation < 3.5
    assert rejected > 1_000


def test_accepting_always_and_drawing_from_p_fail_the_distribution_test(monkeypatch):
    def always(p, q, drafted, uniforms, next_uniforms, bonus):
        accepted = torch.full((len(drafted),), drafted.shape[1])
        return Verdict(accepted, draw(bonus(), next_uniforms), uniforms, accepted < 0)

    monkeypatch.setattr(speculative, "verify", always)
    assert sampled(Processing(), 2)[0] > 10
    monkeypatch.setattr("omnitrain_eft.speculation.residual", lambda p, q: p)
    monkeypatch.setattr(speculative, "verify", verify)
    assert sampled(Processing(), 2)[0] > 10


def test_large_model_is_asked_less_than_once_a_token(close):
    agreeing = ensemble_of(close.large, close.small[0], close.small[1])
    made = generate_speculatively(agreeing, Dials(), [[5, 6]], Settings(60, Processing(1.0), block_size=3), [], 0)
    assert made.counts.tokens == 60
    assert made.counts.large_passes < 60
    certain = table_ensemble([torch.zeros(6, 6), tables()[1], torch.zeros(6, 6)])
    made = generate_speculatively(certain, Dials(), [[2]], Settings(41, Processing(1.0), block_size=4), [], 0)
    assert made.counts.large_passes == 1 + 40 // 5


def test_each_round_gives_the_models_block_plus_one_tokens():
    certain = table_ensemble([torch.zeros(6, 6), tables()[1], torch.zeros(6, 6)])
    loop = speculative.SpeculativeLoop(certain, Dials(), [[2, 3, 4]], Settings(11, GREEDY, block_size=4), [], 0)
    loop.run()
    assert loop.large.tokens_read == 3 + 2 * 5
    assert loop.others.lanes[0].model.tokens_read == 3 + 2 * 5
    assert loop.draft.lanes[0].model.tokens_read == 3 + 2 * 5


def test_a_row_does_not_depend_on_others_with_a_fixed_block(close):
    prompts = random_prompts(5, 2)
    settings = Settings(12, Processing(1.0), seed=4, block_size=3)
    together = generate_speculatively(close, Dials(), prompts, settings, EOS, 0).rows
    for number, prompt in enumerate(prompts):
        alone = Settings(12, Processing(1.0), seed=4, first_text=number, block_size=3)
        assert generate_speculatively(close, Dials(), [prompt], alone, EOS, 0).rows[0] == together[number]


def test_adaptive_blocks_grow_with_acceptance_and_stay_exact(close):
    size = BlockSize(8, True, cost=0.1)
    for _ in range(30):
        size.observe(8, 0)
    assert size.next() == 8
    for _ in range(60):
        size.observe(0, 1)
    assert size.next() == 1
    prompts = random_prompts(4, 8)
    plain = generate(CompositionDecoder(close, Dials()), prompts, Settings(20, GREEDY), EOS, 0)
    found = generate_speculatively(close, Dials(), prompts, Settings(20, GREEDY, block_size=6, adaptive=True), EOS, 0)
    assert found.rows == plain.rows


@given(st.floats(0, 1), st.integers(1, 16))
def test_cost_model_lies_between_no_and_full_acceptance(acceptance, block):
    tokens = tokens_per_round(acceptance, block)
    assert 1 <= tokens <= block + 1 + 1e-9
    assert ideal_speedup(1.0, block, 0.0) == block + 1


def test_residual_falls_back_on_p_where_nothing_is_left():
    p = torch.tensor([[0.25, 0.75]])
    assert torch.equal(residual(p, p), p)
    assert torch.allclose(residual(p, torch.tensor([[0.5, 0.5]])), torch.tensor([[0.0, 0.25]]))
