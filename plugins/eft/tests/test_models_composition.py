"""Compositions as models: adapters that share weights, vocabularies, shapes, memory plans, scoring."""

import pytest
import torch
from helpers import FACTS, GREEDY, config, gpt2, random_prompts, with_lora

from omnitrain.errors import UsageError
from omnitrain_eft.models.composition import CompositionModel
from omnitrain_eft.models.decoding.loop import Decoding, generate
from omnitrain_eft.models.decoding.plain import CompositionDecoder
from omnitrain_eft.models.decoding.speculative import generate_speculatively
from omnitrain_eft.models.ensemble import Prompts
from omnitrain_eft.paper.composition import Dials


def test_expert_of_adapters_shares_one_set_of_weights(adapted):
    held = {p.data_ptr(): p.nbytes for p in adapted.parameters()}
    base = sum(p.nbytes for p in gpt2(1, 16, 1).parameters())
    large = sum(p.nbytes for p in gpt2(2, 32, 0).parameters())
    adapters = sum(p.nbytes for name, p in adapted.named_parameters() if "lora_" in name)
    assert 0 < adapters < base / 4
    assert sum(held.values()) == large + base + adapters


@pytest.mark.parametrize("stacked", [False, True])
def test_expert_of_adapters_gives_the_texts_of_the_merged_model(adapted, stacked):
    merged = with_lora(gpt2(1, 16, 1)).merge_and_unload()
    apart = CompositionModel(
        config(small={"use": "eft/causal"}), {"large": gpt2(2, 32, 0), "small": gpt2(1, 16, 1), "expert-0": merged}, FACTS
    )
    prompts, settings = random_prompts(4, 2), Decoding(14, GREEDY)
    expected = generate(CompositionDecoder(apart.ensemble(), Dials()), prompts, settings, [1], 0).rows
    ensemble = adapted.ensemble()
    assert generate(CompositionDecoder(ensemble, Dials(), stacked), prompts, settings, [1], 0).rows == expected
    drafted = Decoding(14, GREEDY, block_size=3)
    assert generate_speculatively(ensemble, Dials(), prompts, drafted, [1], 0).rows == expected
    with torch.no_grad():
        ids = torch.tensor([[3, 4, 5]])
        torch.testing.assert_close(adapted(ids).logits, apart(ids).logits, rtol=1e-4, atol=1e-4)


def test_an_expert_without_base_and_adapters_is_named():
    with pytest.raises(UsageError, match="expert-0 stands without its base"):
        CompositionModel(config(), {"large": gpt2(1, 16, 0), "expert-0": gpt2(1, 16, 1)}, FACTS)


def test_templates_are_checked_and_prompts_differ_by_model(adapted):
    with pytest.raises(UsageError, match="large_template: template 'x' holds no"):
        CompositionModel(config(large_template="x"), {"large": gpt2(1, 16, 0), "expert-0": with_lora(gpt2(1, 16, 1))}, FACTS)
    with pytest.raises(UsageError, match="a prompt for each text"):
        Prompts([[3]], [[[3], [4]]])
    with pytest.raises(UsageError, match="2 numbers for 1 experts"):
        CompositionDecoder(adapted.ensemble(), Dials(weights=(0.5, 0.5))).start([[3]])
