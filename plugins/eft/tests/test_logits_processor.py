"""The composition as a logits processor of the large base's own `generate`."""

import pytest
import torch
from helpers import GREEDY, SETTINGS, cut, ensemble_of, gpt2, inputs, random_prompts
from transformers import LogitsProcessorList

from omnitrain.errors import NumericalError
from omnitrain_eft.models.decoding.loop import Decoding, generate
from omnitrain_eft.models.decoding.plain import CompositionDecoder
from omnitrain_eft.models.ensemble import Prompts
from omnitrain_eft.models.logits_processor import EmulatedFineTuning
from omnitrain_eft.paper.composition import Dials


def test_processor_takes_prompts_of_its_own_per_model_and_row(composed):
    ensemble, _ = composed
    prompts = random_prompts(3, 7)
    own = Prompts(prompts, [[[5, *p] for p in prompts], [p[1:] or [3] for p in prompts]])
    expected = generate(CompositionDecoder(ensemble, Dials()), own, Decoding(12, GREEDY), [1], 0).rows
    given = inputs(prompts)
    processor = LogitsProcessorList([EmulatedFineTuning(ensemble, Dials(), own.small)])
    made = ensemble.large.generate(**given, **SETTINGS, logits_processor=processor)
    assert cut(made, given["input_ids"].shape[1]) == expected


def test_processor_reads_the_prompt_once_and_then_one_token(composed):
    ensemble, _ = composed
    processor = EmulatedFineTuning(ensemble, Dials(), stacked=False)
    settings = {**SETTINGS, "eos_token_id": None}
    ensemble.large.generate(**inputs([[5, 6, 7]]), **settings, logits_processor=LogitsProcessorList([processor]))
    assert [lane.model.tokens_read for lane in processor._models.lanes] == [3 + 11, 3 + 11]


def test_processor_names_a_nan_logit_of_a_small_model():
    broken = gpt2(1, 16, 1)
    broken.lm_head.weight.data[7] = torch.nan
    ensemble = ensemble_of(gpt2(2, 32, 0), gpt2(1, 16, 2), broken)
    processor = LogitsProcessorList([EmulatedFineTuning(ensemble, Dials())])
    with pytest.raises(NumericalError, match="NaN or infinity"):
        ensemble.large.generate(**inputs([[5, 6, 7]]), **SETTINGS, logits_processor=processor)


def test_a_static_cache_of_the_large_base_goes_with_the_processor(composed):
    ensemble, _ = composed
    given = inputs([[5, 6, 7]])
    settings = {**SETTINGS, "eos_token_id": None}
    processor = EmulatedFineTuning(ensemble, Dials())
    dynamic = ensemble.large.generate(**given, **settings, logits_processor=LogitsProcessorList([processor]))
    static = ensemble.large.generate(
        **given, **settings, logits_processor=LogitsProcessorList([processor]), cache_implementation="static"
    )
    assert torch.equal(dynamic, static)
