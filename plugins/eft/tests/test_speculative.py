"""The loop of speculation: the same text greedily, the same law when sampled, with ragged acceptance."""

from collections import Counter
from contextlib import nullcontext

import pytest
import torch
from helpers import EOS, GREEDY, VOCABULARY, ensemble_of, gpt2, random_prompts, two_experts, windowed

from omnitrain.errors import UsageError
from omnitrain_eft.evidence.tables import TableModel, table_ensemble, text_law
from omnitrain_eft.models.decoding import speculative
from omnitrain_eft.models.decoding.loop import Decoding, generate
from omnitrain_eft.models.decoding.plain import CompositionDecoder, SingleDecoder
from omnitrain_eft.models.decoding.processors import Processing
from omnitrain_eft.models.decoding.speculative import generate_speculatively
from omnitrain_eft.models.ensemble import Ensemble, Prompts
from omnitrain_eft.paper.composition import Dials, combine
from omnitrain_eft.paper.speculation import BlockSize, Verdict, draw, verify_greedy

PLAIN = Dials()


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
    endless = generate(CompositionDecoder(close, Dials()), prompts, Decoding(10, GREEDY), [], 0).rows
    end = Counter(token for row in endless for token in row[2:8]).most_common(3)[-1][0]
    made = generate(CompositionDecoder(close, Dials()), prompts, Decoding(8, GREEDY), [end], 0)
    assert 10 < sum(made.ended) < 190
    return prompts, end, made


# Alone, each block has 50 of the 200 prompts; in batches, where rows accept different numbers, all of them.
@pytest.mark.parametrize("block", [1, 2, 4, 8])
@pytest.mark.parametrize("batch", [1, 8])
def test_greedy_speculation_equals_greedy_decoding_on_200_prompts(close, plainly, block, batch, monkeypatch):
    prompts, end, plain = plainly
    chosen = range(200) if batch > 1 else range([1, 2, 4, 8].index(block), 200, 4)
    ragged = []

    def watched(*args):
        verdict = verify_greedy(*args)
        ragged.append(len(set(verdict.accepted.tolist())) > 1)
        return verdict

    monkeypatch.setattr(speculative, "verify_greedy", watched)
    settings, found, ended, counts = Decoding(8, GREEDY, block_size=block), [], [], Counter()
    for first in range(0, len(chosen), batch):
        made = generate_speculatively(close, Dials(), [prompts[i] for i in chosen[first : first + batch]], settings, [end], 0)
        found += made.rows
        ended += made.ended
        counts.update(vars(made.counts))
    assert found == [plain.rows[i] for i in chosen]
    assert ended == [plain.ended[i] for i in chosen]
    assert counts["accepted"] > 0
    assert counts["rejected"] > 0
    assert sum(ragged) > (20 if batch > 1 else -1)


def test_prompts_of_their_own_and_penalties_leave_greedy_speculation_exact(close):
    prompts = random_prompts(8, 4)
    own = Prompts(prompts, [[[5, *p] for p in prompts], [[*p, 6] for p in prompts]])
    processing = Processing(0.0, repetition_penalty=1.3, no_repeat_ngram_size=3, min_new_tokens=5, banned_ids=(7,))
    plain = generate(CompositionDecoder(close, Dials()), own, Decoding(20, processing), EOS, 0)
    found = generate_speculatively(close, Dials(), own, Decoding(20, processing, block_size=3), EOS, 0)
    assert found.rows == plain.rows


MIXTURES = [
    Dials(weights=(1.5, -0.5)),
    Dials(beta_up=1.4, weights=(0.6, 0.4)),
    Dials(delta_top_p=0.9, weights=(1.0, 0.5)),
]


@pytest.mark.parametrize("dials", MIXTURES)
def test_several_experts_with_own_bases_are_exact(dials):
    several = two_experts(gpt2)
    prompts = random_prompts(6, 9)
    plain = generate(CompositionDecoder(several, dials), prompts, Decoding(16, GREEDY), EOS, 0)
    for draft in (None, 1):
        settings = Decoding(16, GREEDY, block_size=3, draft=draft)
        assert generate_speculatively(several, dials, prompts, settings, EOS, 0).rows == plain.rows


@pytest.mark.parametrize(("dials", "alone"), [(Dials(alpha=0.0), 0), (Dials(beta_up=0.0), 1)])
def test_identities_hold_in_speculation(close, dials, alone):
    model, prompts = [close.large, *close.small][alone], random_prompts(8, 5)
    single = generate(SingleDecoder(model, 0, VOCABULARY), prompts, Decoding(12, GREEDY), EOS, 0)
    found = generate_speculatively(close, dials, prompts, Decoding(12, GREEDY, block_size=4), EOS, 0)
    assert found.rows == single.rows
    assert (found.counts.rejected == 0) == (alone == 1)


def chain(*steps, size=6):
    """Logits by which each source is surely followed by its target."""
    table = torch.full((size, size), -30.0)
    for source, target in steps:
        table[source, target] = 30.0
    return table


def test_an_end_and_the_length_limit_inside_an_accepted_block_end_the_row():
    drafted = chain((2, 3), (3, 4), (4, 1), (1, 5), (5, 5), (0, 5))
    certain = table_ensemble([torch.zeros(6, 6), drafted, torch.zeros(6, 6)])
    found = generate_speculatively(certain, Dials(), [[2], [5]], Decoding(7, GREEDY, block_size=8), [1], 0)
    assert found.rows == [[3, 4, 1], [5] * 7]
    assert found.ended == [True, False]


def test_a_row_at_its_limit_drops_what_longer_rows_let_it_accept():
    # The second row's draft is always refused, so it is behind while the first accepts whole blocks.
    large = torch.zeros(6, 6)
    large[2, 2] = large[3, 2] = 200.0
    drafted = chain((5, 5), (2, 3), (3, 3), (0, 0), (1, 1), (4, 4))
    made = table_ensemble([large, drafted, torch.zeros(6, 6)])
    found = generate_speculatively(made, Dials(), [[5], [2]], Decoding(8, GREEDY, block_size=4), [1], 0)
    assert found.rows == [[5] * 8, [2] * 8]
    assert found.counts.drafted > found.counts.accepted + found.counts.rejected


def test_a_genuine_pad_is_a_token_like_others_and_a_finished_row_stays_finished():
    drafted = chain((2, 0), (0, 3), (3, 1), (1, 2), (4, 4), (5, 5))
    certain = table_ensemble([torch.zeros(6, 6), drafted, torch.zeros(6, 6)])
    for block in (1, 2, 8):
        found = generate_speculatively(certain, Dials(), [[2], [3], [4]], Decoding(6, GREEDY, block_size=block), [1], 0)
        assert found.rows == [[0, 3, 1], [1], [4] * 6]
        assert found.ended == [True, True, False]


def test_after_roll_back_every_model_goes_on_as_after_a_fresh_prefill(family):
    several = two_experts(family)
    prompts = random_prompts(5, 3)
    own = Prompts(prompts, [prompts, [[5, *p] for p in prompts], [[*p, 6] for p in prompts], [[7, 8, *p] for p in prompts]])
    settings = Decoding(100, Processing(1.5), seed=2, block_size=3)
    loop = speculative.SpeculativeLoop(several, Dials(weights=(0.8, 0.2)), own, settings, [], 0)
    last = loop._first(None)
    for _ in range(6):
        last = loop._round(last, 3, None)
    assert len({len(row) for row in loop.rows}) > 1
    found = {-1: loop.large.extend(last[:, None]), **loop.draft.extend(last[:, None]), **loop.others.extend(last[:, None])}
    for member, logits in found.items():
        model, texts = (several.large, own.large) if member < 0 else (several.small[member], own.small[member])
        for row, prompt in enumerate(texts):
            with torch.no_grad():
                fresh = model(torch.tensor([[*prompt, *loop.rows[row]]])).logits[0, -1]
            torch.testing.assert_close(logits[row, -1], fresh, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("place", [0, 1, 2], ids=["large", "expert", "base"])
def test_models_that_cannot_be_rolled_back_are_refused_before_anything_is_read(place):
    models = [gpt2(2, 32, 0), gpt2(1, 16, 1), gpt2(1, 16, 2)]
    models[place] = windowed(1, 16, 3)
    with pytest.raises(UsageError, match=r"has a cache that can't take tokens back .* set block_size to 0"):
        generate_speculatively(ensemble_of(*models), Dials(), [[3]], Decoding(4, GREEDY, block_size=2), EOS, 0)


def tables(seed=5, size=6, count=3):
    generator = torch.Generator().manual_seed(seed)
    return [1.2 * torch.randn(size, size, generator=generator) for _ in range(count)]


def chi_square(texts, law):
    """How far counts are from a law, in standard deviations."""
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


def sampled(processing, block, length, dials=PLAIN, every=None, law_of=None, draws=10_000, batch=2_000):
    """Draw texts speculatively; return (their deviation from the enumerated law, the counts).

    every: tables of the large base, the experts, and the base of each. law_of: combined logits where the plain sum of the
    tables, which is the default, does not hold.
    """
    large, *small = tables() if every is None else every
    experts = list(range(len(small) // 2))
    models = [TableModel(table) for table in small]
    ensemble = Ensemble(TableModel(large), models, experts, [i + len(experts) for i in experts], len(experts), 0, len(large))
    texts, counts = [], Counter()
    for first in range(0, draws, batch):
        settings = Decoding(length, processing, seed=1, first_text=first, block_size=block)
        made = generate_speculatively(ensemble, dials, [[2]] * batch, settings, [], 0)
        texts += [tuple(row) for row in made.rows]
        counts.update(vars(made.counts))
    change = sum(w * (e - b) for w, e, b in zip(dials.weights, small[: len(experts)], small[len(experts) :], strict=True))
    z = dials.beta_up * large + (1 - dials.beta_up) * small[len(experts)] + dials.alpha * change if law_of is None else law_of
    return chi_square(texts, text_law(lambda last: processing.warp(z[last]), 2, length)), counts


# A block is cut to what is missing but one token, so that a text of K + 2 tokens has a whole block and its bonus.
@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.7, 0.9)])
@pytest.mark.parametrize(("block", "length"), [(1, 3), (2, 4), (8, 4)])
def test_sampled_speculation_has_the_law_of_the_composition(temperature, top_p, block, length):
    deviation, counts = sampled(Processing(temperature=temperature, top_p=top_p), block, length)
    assert deviation < 3.5
    assert counts["rejected"] > 500
    assert counts["accepted"] > 500
    assert counts["rounds"] < counts["tokens"] - 10_000


@pytest.mark.parametrize("dials", [Dials(weights=(1.5, -0.5)), Dials(beta_up=1.4, weights=(0.6, 0.4))])
def test_several_experts_with_own_bases_are_sampled_by_their_law(dials):
    deviation, counts = sampled(Processing(temperature=1.3), 2, 4, dials, tables(7, 5, count=5))
    assert deviation < 3.5
    assert counts["rejected"] > 500


def test_tokens_that_one_model_excludes_are_sampled_by_their_law():
    large, expert, base = tables(11, 5)
    large[:, 1] = -torch.inf  # the draft offers it, the target refuses it
    expert[:, 3] = base[:, 3] = -torch.inf  # the target alone gives it, so that only the residual can
    excluded = [large, expert, base]
    z = combine(large, [expert], [base], Dials())
    deviation, counts = sampled(Processing(), 2, 3, every=excluded, law_of=z)
    assert deviation < 3.5
    assert counts["rejected"] > 500


def test_accepting_always_and_drawing_from_p_fail_the_distribution_test(monkeypatch):
    def always(p, q, drafted, uniforms, next_uniforms, bonus):
        accepted = torch.full((len(drafted),), drafted.shape[1])
        return Verdict(accepted, draw(bonus(), next_uniforms), uniforms, accepted < 0)

    for processing in (Processing(), Processing(temperature=0.7, top_p=0.9)):
        with monkeypatch.context() as patch:
            patch.setattr(speculative, "verify", always)
            with pytest.raises(AssertionError) if processing.top_p < 1 else nullcontext():  # texts outside of the law
                assert sampled(processing, 2, 4, draws=6_000)[0] > 10
        with monkeypatch.context() as patch:
            patch.setattr("omnitrain_eft.paper.speculation.residual", lambda p, q: p)
            assert sampled(processing, 2, 4, draws=6_000)[0] > 10


def test_large_model_is_asked_less_than_once_a_token(close):
    agreeing = ensemble_of(close.large, close.small[0], close.small[1])
    made = generate_speculatively(agreeing, Dials(), [[5, 6]], Decoding(60, Processing(1.0), block_size=3), [], 0)
    assert made.counts.tokens == 60
    assert made.counts.large_passes < 60
    certain = table_ensemble([torch.zeros(6, 6), tables()[1], torch.zeros(6, 6)])
    made = generate_speculatively(certain, Dials(), [[2]], Decoding(41, Processing(1.0), block_size=4), [], 0)
    assert made.counts.large_passes == 1 + 40 // 5


def test_each_round_gives_the_models_block_plus_one_tokens():
    certain = table_ensemble([torch.zeros(6, 6), tables()[1], torch.zeros(6, 6)])
    loop = speculative.SpeculativeLoop(certain, Dials(), [[2, 3, 4]], Decoding(11, GREEDY, block_size=4), [], 0)
    loop.run()
    assert loop.large.tokens_read == 3 + 2 * 5
    assert loop.others.lanes[0].model.tokens_read == 3 + 2 * 5
    assert loop.draft.lanes[0].model.tokens_read == 3 + 2 * 5


def test_a_row_depends_on_others_only_in_its_last_block(close):
    prompts, block = random_prompts(24, 2), 3
    settings = Decoding(16, Processing(1.0), seed=4, block_size=block)
    together = generate_speculatively(close, Dials(), prompts, settings, EOS, 0).rows
    for number, prompt in enumerate(prompts):
        alone = Decoding(16, Processing(1.0), seed=4, first_text=number, block_size=block)
        row = generate_speculatively(close, Dials(), [prompt], alone, EOS, 0).rows[0]
        assert row[: 16 - block] == together[number][: 16 - block]


def test_adaptive_blocks_grow_with_acceptance_and_stay_exact(close):
    size = BlockSize(8, True, cost=0.1)
    for _ in range(30):
        size.observe(8, 0)
    assert size.next() == 8
    for _ in range(60):
        size.observe(0, 1)
    assert size.next() == 1
    prompts = random_prompts(4, 8)
    plain = generate(CompositionDecoder(close, Dials()), prompts, Decoding(20, GREEDY), EOS, 0)
    found = generate_speculatively(close, Dials(), prompts, Decoding(20, GREEDY, block_size=6, adaptive=True), EOS, 0)
    assert found.rows == plain.rows
