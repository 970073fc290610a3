"""The two shapes that transformers takes: a model with a composite cache, and a logits processor."""

import pytest
import torch
from helpers import GREEDY, SETTINGS, VOCABULARY, cut, ensemble_of, gpt2, inputs, random_prompts, two_experts, windowed
from transformers import LogitsProcessorList

from omnitrain.errors import UsageError
from omnitrain_eft.models.decoding.loop import Decoding, generate
from omnitrain_eft.models.decoding.plain import CompositionDecoder
from omnitrain_eft.models.logits_processor import EmulatedFineTuning
from omnitrain_eft.models.wrapper import ComposedCausalLM
from omnitrain_eft.paper.composition import Dials


def test_wrapper_and_processor_and_own_loop_agree_in_generate(composed):
    ensemble, model = composed
    prompts = random_prompts(4, 3)
    own = generate(CompositionDecoder(ensemble, Dials()), prompts, Decoding(12, GREEDY), [1], 0).rows
    given = inputs(prompts)
    width = given["input_ids"].shape[1]
    assert cut(model.generate(**given, **SETTINGS), width) == own
    processor = EmulatedFineTuning(ensemble, Dials())
    for _ in range(2):  # a second call begins anew by itself
        made = ensemble.large.generate(**given, **SETTINGS, logits_processor=LogitsProcessorList([processor]))
        assert cut(made, width) == own


def test_wrapper_gives_all_positions_and_its_cache_the_same(composed):
    ensemble, model = composed
    ids = torch.randint(2, VOCABULARY, (2, 9))
    with torch.no_grad():
        whole = model(ids).logits
        cache = model.new_cache()
        parts = [model(ids[:, :5], past_key_values=cache, use_cache=True).logits]
        parts += [model(ids[:, i : i + 1], past_key_values=cache, use_cache=True).logits for i in range(5, 9)]
        loss = model(ids, labels=ids).loss
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=1e-4, atol=1e-4)
    expected = torch.nn.functional.cross_entropy(whole[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    torch.testing.assert_close(loss, expected)
    single = ensemble.combined(*_all_logits(ensemble, ids), Dials())
    torch.testing.assert_close(whole, single)


def _all_logits(ensemble, ids):
    with torch.no_grad():
        return ensemble.large(ids).logits, [m(ids).logits for m in ensemble.small]


def test_beams_of_wrapper_and_processor_agree(composed):
    ensemble, model = composed
    given = inputs([[5, 9, 12], [7, 8, 3]])
    settings = {**SETTINGS, "num_beams": 3, "max_new_tokens": 8, "eos_token_id": None}
    wrapped = model.generate(**given, **settings)
    processor = LogitsProcessorList([EmulatedFineTuning(ensemble, Dials())])
    assert torch.equal(wrapped, ensemble.large.generate(**given, **settings, logits_processor=processor))


def test_assisted_generation_takes_the_composition_as_its_target():
    large, expert, base = gpt2(2, 32, 0), gpt2(1, 16, 1), gpt2(1, 16, 2, scale=2.0)
    model = ComposedCausalLM(ensemble_of(large, expert, base), Dials())
    given = inputs([[5, 6, 7]])
    plain = model.generate(**given, **{**SETTINGS, "eos_token_id": None})
    helper = gpt2(1, 16, 1)
    assisted = model.generate(**given, **{**SETTINGS, "eos_token_id": None}, assistant_model=helper)
    assert torch.equal(plain, assisted)


@pytest.mark.parametrize("place", [0, 1, 2], ids=["large", "expert", "base"])
def test_assisted_generation_takes_tokens_back_from_sliding_windows_of_every_model(place):
    models = [gpt2(2, 32, 0), gpt2(1, 16, 1), gpt2(1, 16, 2, scale=2.0)]
    models[place] = windowed(1, 16, 3)
    model = ComposedCausalLM(ensemble_of(*models), Dials())
    settings = {**SETTINGS, "eos_token_id": None, "max_new_tokens": 20}
    plain = model.generate(**inputs([[5, 6, 7]]), **settings)
    assert torch.equal(plain, model.generate(**inputs([[5, 6, 7]]), **settings, assistant_model=gpt2(1, 16, 1)))


def test_assisted_generation_is_refused_where_a_small_cache_cannot_take_tokens_back(composed, monkeypatch):
    _, model = composed
    cache = model.new_cache()
    assert cache.is_croppable
    for layer in cache.caches[2].layers:
        monkeypatch.setattr(type(layer), "is_croppable", property(lambda self, own=layer: self is not own))
    assert not cache.is_croppable
    with pytest.raises(UsageError, match="leave out assistant_model"):
        cache.activate_past_recording()


def test_both_shapes_agree_with_the_own_loop_for_several_experts_and_a_negative_weight():
    several, dials = two_experts(gpt2), Dials(weights=(1.5, -0.5))
    prompts = random_prompts(3, 8)
    own = generate(CompositionDecoder(several, dials), prompts, Decoding(12, GREEDY), [1], 0).rows
    given = inputs(prompts)
    width = given["input_ids"].shape[1]
    assert cut(ComposedCausalLM(several, dials).generate(**given, **SETTINGS), width) == own
    processor = LogitsProcessorList([EmulatedFineTuning(several, dials)])
    assert cut(several.large.generate(**given, **SETTINGS, logits_processor=processor), width) == own
