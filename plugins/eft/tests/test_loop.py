"""The cached loop: caches, batches, per-model prompts, ends, processors, stacking."""

import pytest
import torch
from helpers import EOS, GREEDY, VOCABULARY, ensemble_of, gpt2, random_prompts, two_experts
from transformers import DynamicCache

from omnitrain.errors import UsageError
from omnitrain_eft.evidence.tables import table_decoder
from omnitrain_eft.models.decoding.loop import Decoding, generate
from omnitrain_eft.models.decoding.plain import CompositionDecoder, SingleDecoder
from omnitrain_eft.models.decoding.processors import Processing
from omnitrain_eft.models.ensemble import Ensemble, Prompts
from omnitrain_eft.paper.composition import Dials


def own_prompts(prompts):
    """A template for the expert, plain text for the bases."""
    return Prompts(prompts, [[[5, 6, *p, 7] for p in prompts], [p[1:] or [3] for p in prompts]])


def one_by_one(ensemble, dials, prompts, settings, stacked=True):
    rows = []
    for number in range(len(prompts.large)):
        single = Prompts([prompts.large[number]], [[rows_[number]] for rows_ in prompts.small])
        decoder = CompositionDecoder(ensemble, dials, stacked)
        alone = Decoding(settings.max_new_tokens, settings.processing, settings.seed, number)
        rows.append(generate(decoder, single, alone, EOS, 0).rows[0])
    return rows


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_batches_with_prompts_per_row_and_model_give_the_tokens_of_single_runs(family, stacked, temperature):
    ensemble = ensemble_of(family(2, 32, 0), family(1, 16, 1), family(1, 16, 2))
    prompts, settings = own_prompts(random_prompts(6)), Decoding(16, Processing(temperature=temperature), seed=3)
    found = generate(CompositionDecoder(ensemble, Dials(), stacked), prompts, settings, EOS, 0)
    assert found.rows == one_by_one(ensemble, Dials(), prompts, settings, stacked)


def test_each_forward_pass_gets_the_prompt_once_and_then_one_token(ensemble):
    decoder = CompositionDecoder(ensemble, Dials(), stacked=False)
    generate(decoder, [[5, 6, 7, 8]], Decoding(10, GREEDY), [], 0)
    for model in (decoder.large, *(lane.model for lane in decoder.small.lanes)):
        assert (model.tokens_read, model.passes) == (4 + 9, 10)


def test_cached_and_recomputed_logits_agree(family):
    ensemble = ensemble_of(family(2, 32, 0), family(1, 16, 1), family(1, 16, 2))
    steps = []
    decoder = CompositionDecoder(ensemble, Dials(), on_logits=steps.append)
    text = [9, 4, *generate(decoder, [[9, 4]], Decoding(12, GREEDY), [], 0).rows[0]]
    with torch.no_grad():
        every = [model(torch.tensor([text])).logits for model in (ensemble.large, *ensemble.small)]
    whole = ensemble.combined(every[0], every[1:], Dials())[0, 1:-1]
    torch.testing.assert_close(torch.cat(steps), whole, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("dials", "alone"),
    [(Dials(alpha=0.0), 0), (Dials(beta_up=0.0), 1)],
    ids=["alpha 0 is the large base", "beta_up 0 is the expert"],
)
def test_identities_hold_on_real_models(ensemble, dials, alone):
    prompts = random_prompts(4, 5)
    model = [ensemble.large, *ensemble.small][alone]
    composed = generate(CompositionDecoder(ensemble, dials), prompts, Decoding(12, GREEDY), EOS, 0)
    single = generate(SingleDecoder(model, 0, VOCABULARY), prompts, Decoding(12, GREEDY), EOS, 0)
    assert composed.rows == single.rows


def test_equal_pairs_give_the_other_model():
    large, small, tuned = gpt2(2, 32, 0), gpt2(1, 16, 1), gpt2(1, 16, 2)
    prompts, settings = random_prompts(3, 6), Decoding(12, GREEDY)
    nothing_tuned = generate(CompositionDecoder(ensemble_of(large, small, small), Dials()), prompts, settings, EOS, 0)
    assert nothing_tuned.rows == generate(SingleDecoder(large, 0, VOCABULARY), prompts, settings, EOS, 0).rows
    same_scale = generate(CompositionDecoder(ensemble_of(small, tuned, small), Dials()), prompts, settings, EOS, 0)
    assert same_scale.rows == generate(SingleDecoder(tuned, 0, VOCABULARY), prompts, settings, EOS, 0).rows


def test_a_genuine_pad_does_not_finish_a_row_and_a_finished_row_stays_finished():
    chain = torch.full((4, 4), -20.0)
    chain[2, 0] = chain[0, 3] = chain[3, 1] = chain[1, 2] = 20.0  # 2 -> 0 (the pad id) -> 3 -> 1 (end)
    decoder = table_decoder([chain, torch.zeros(4, 4), torch.zeros(4, 4)], Dials())
    found = generate(decoder, [[2], [3]], Decoding(6, GREEDY), [1], 0)
    assert found.rows == [[0, 3, 1], [1]]
    assert found.ended == [True, True]
    assert found.without_eos() == [[0, 3], []]


def test_the_end_comes_from_the_small_pair():
    never = torch.zeros(3, 3)
    never[:, 1] = -4.0
    tuned = torch.zeros(3, 3)
    tuned[:, 1] = 9.0
    found = generate(table_decoder([never, tuned, torch.zeros(3, 3)], Dials()), [[2]], Decoding(5, GREEDY), [1], 0)
    assert found.rows == [[1]]


def test_several_experts_with_own_bases_and_a_negative_weight_are_decoded_by_the_formula(family):
    several = two_experts(family)
    steps = []
    decoder = CompositionDecoder(several, Dials(weights=(1.5, -0.5)), on_logits=steps.append)
    text = [9, 4, *generate(decoder, [[9, 4]], Decoding(8, GREEDY), [], 0).rows[0]]
    with torch.no_grad():
        large, first, second, base, other = (m(torch.tensor([text])).logits[0, 1:-1] for m in (several.large, *several.small))
    expected = large + 1.5 * (first - base) - 0.5 * (second - other)
    torch.testing.assert_close(torch.cat(steps), expected, rtol=1e-4, atol=1e-4)


def test_empty_and_over_long_prompts_are_named(ensemble):
    with pytest.raises(UsageError, match="prompt 1 of the large base is empty"):
        CompositionDecoder(ensemble, Dials()).start([[3], []])
    with pytest.raises(UsageError, match="has 300 tokens, the model has positions for 256"):
        CompositionDecoder(ensemble, Dials()).start([[3] * 300])


def test_an_expert_without_its_base_is_refused():
    with pytest.raises(UsageError, match="an expert stands without its base"):
        Ensemble(gpt2(1, 16, 0), [gpt2(1, 16, 1)], [0], [], 0, 0, VOCABULARY)


def test_single_model_through_the_own_loop_equals_transformers_generate(ensemble):
    model = ensemble.large
    ids = torch.tensor([[5, 9, 12]])
    peer = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        past_key_values=DynamicCache(config=model.config),
        max_new_tokens=12,
        do_sample=False,
        pad_token_id=0,
        eos_token_id=1,
    )[0, 3:].tolist()
    assert generate(SingleDecoder(model, 0, VOCABULARY), ids.tolist(), Decoding(12, GREEDY), EOS, 0).rows[0] == peer
