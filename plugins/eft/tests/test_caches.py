"""Caches that are rolled back, and those that can't be."""

import pytest
import torch
from helpers import GREEDY, VOCABULARY, ensemble_of, gpt2, llama, random_prompts, windowed

from omnitrain.errors import UsageError
from omnitrain_eft.models.caches import CachedModel, can_roll_back, new_cache
from omnitrain_eft.models.decoding.loop import Decoding, generate
from omnitrain_eft.models.decoding.plain import CompositionDecoder
from omnitrain_eft.paper.composition import Dials


def test_rolled_back_rows_continue_as_after_a_fresh_prefill(family):
    model = family(2, 16, 0)
    cached = CachedModel(model, 0)
    prompts = random_prompts(4, 3)
    cached.start(prompts)
    appended = torch.randint(2, VOCABULARY, (4, 5))
    cached.extend(appended)
    counts = torch.tensor([1, 5, 3, 2])
    cached.keep(counts, 5)
    follow = torch.randint(2, VOCABULARY, (4, 2))
    found = cached.extend(follow)[:, -1]
    for row, prompt in enumerate(prompts):
        text = [*prompt, *appended[row, : counts[row]].tolist(), *follow[row].tolist()]
        with torch.no_grad():
            fresh = model(torch.tensor([text])).logits[0, -1]
        torch.testing.assert_close(found[row], fresh, rtol=1e-4, atol=1e-4)


def test_a_prompt_may_be_as_long_as_scaled_positions_let_it():
    scaled = {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}
    cached = CachedModel(llama(1, 16, 0, rope_parameters=scaled), 0)
    assert cached.start([[3] * 300]).shape == (1, 1, VOCABULARY)
    with pytest.raises(UsageError, match="has 1024 tokens, the model has positions for 1024"):
        cached.start([[3] * 1024])


def test_gaps_are_closed_when_most_of_a_cache_is_gaps():
    model = gpt2(1, 16, 0)
    cached = CachedModel(model, 0)
    cached.start([[3], [4]])
    texts = [[3], [4]]
    for turn in range(60):
        tokens = torch.tensor([[5 + turn % 3, 6], [7, 8 + turn % 5]])
        cached.extend(tokens)
        first = turn % 2
        cached.keep(torch.tensor([2, 0] if first else [0, 2]), 2)
        texts[0 if first else 1] += tokens[0 if first else 1].tolist()
    assert cached.width <= 2 * max(map(len, texts)) + 64
    last = cached.extend(torch.tensor([[9], [9]]))[:, -1]
    for row, text in enumerate(texts):
        with torch.no_grad():
            fresh = model(torch.tensor([[*text, 9]])).logits[0, -1]
        torch.testing.assert_close(last[row], fresh, rtol=1e-4, atol=1e-4)


def test_caches_that_cannot_be_cropped_are_known_and_refused():
    model = windowed(1, 16, 0)
    assert not can_roll_back(new_cache(model.config))
    cached = CachedModel(model, 0, "the large base")
    cached.start([[3, 4, 5]])
    cached.extend(torch.tensor([[6, 7]]))
    with pytest.raises(UsageError, match="set block_size to 0"):
        cached.keep(torch.tensor([1]), 2)


def test_sliding_windows_are_decoded_plainly_as_without_caches():
    ensemble = ensemble_of(windowed(1, 32, 0), windowed(1, 16, 1), windowed(1, 16, 2))
    prompts, settings = random_prompts(4, 5), Decoding(10, GREEDY)
    rows = generate(CompositionDecoder(ensemble, Dials()), prompts, settings, [], 0).rows
    for prompt, row in zip(prompts, rows, strict=True):
        text = [*prompt, *row]
        with torch.no_grad():
            every = [model(torch.tensor([text])).logits[0] for model in (ensemble.large, *ensemble.small)]
        best = (every[0] + every[1] - every[2]).argmax(dim=-1)[len(prompt) - 1 : -1]
        assert best.tolist() == row
