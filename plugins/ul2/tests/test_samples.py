"""Prompts in each mode, and what a tiny untrained model writes."""

import pytest
import torch
from helpers import LAYOUTS, predictor_of

from omnitrain.api import BatchPlan
from omnitrain_language.objectives import model_inputs
from omnitrain_language.predictor import LanguagePredictor
from omnitrain_language.sampling import GenerationSettings
from omnitrain_language.tokenizers import load_tokenizer
from omnitrain_ul2.configs.evaluators import SamplesConfig
from omnitrain_ul2.evaluators.samples import build as build_samples
from omnitrain_ul2.evaluators.samples import prompt_ids


@pytest.mark.parametrize("layout", LAYOUTS)
def test_prompts_are_what_training_reads_and_decoding_goes_on_from_them(make_data, context, layout):
    data = make_data(layout=layout)
    predictor = predictor_of(data, context, layout)
    batch = next(iter(data.batches("train", BatchPlan(6, 0))))
    with torch.no_grad():
        expected = predictor.model(**model_inputs(batch), use_cache=False).logits
    prompts = prompt_ids(batch)
    seen = []
    predictor.continue_ids(prompts, GenerationSettings(1), processors=[lambda ids, logits: seen.append(logits) or logits])
    started = seen[0]
    for row, ids in enumerate(prompts):
        if layout == "decoder-only":
            assert ids[0] == data.vocabulary.eos_id
            first = len(ids) - 1
        else:
            assert ids[-1] == data.vocabulary.eos_id
            first = 0
        assert batch["loss_weights"][row, first] == 1
        assert torch.allclose(started[row], expected[row, first], atol=1e-4)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_saved_tokenizer_encodes_a_prompt_with_its_mode_as_training_does(make_data, context, layout, tmp_path):
    data = make_data(layout=layout)
    data.save_assets(tmp_path)
    predictor = LanguagePredictor(predictor_of(data, context, layout).model, load_tokenizer(tmp_path))
    text = data.tokenizer.decode(data.files["valid"].document(0)[:20])
    wanted = [data.vocabulary.mode_ids["S"][0], *data.files["valid"].document(0)[:20].tolist()]
    ids = predictor.encode_prompts(["[S]" + text], 8)[0]
    eos = [data.vocabulary.eos_id]
    assert ids == (wanted + eos if layout == "encoder-decoder" else eos + wanted)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_samples_show_each_mode(make_data, context, layout):
    data = make_data(layout=layout)
    predictor = predictor_of(data, context, layout)
    found = build_samples(SamplesConfig(count=2, max_new_tokens=4), context)(predictor, data, context)
    assert list(found.samples) == ["mode R", "mode X", "mode S"]
    for name, samples in found.samples.items():
        assert len(samples) == 2
        assert all(sample.fields["inputs"].startswith(f"[{name[-1]}]") for sample in samples)
        assert all(("<extra_id_0>" in sample.fields["held out"]) == (name != "mode S") for sample in samples)
