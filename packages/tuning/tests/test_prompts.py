"""Prompts in front of a text model's embeddings."""

import pytest
import torch
from test_ia3 import IDS, gpt2, hidden, llama

from omnitrain.errors import UsageError
from omnitrain_tuning.blocks import find_blocks
from omnitrain_tuning.prompts import PromptPet


def attached_to(model, **settings):
    attached = PromptPet(2, **settings).attach(model, find_blocks(model))
    module = attached.add("a").double()
    attached.use(["a"])
    return attached, module


def by_hand(model, prompts, mask=None):
    """Hidden states of IDS behind prompts [batch, length, width]."""
    embeddings = torch.cat([prompts, model.get_input_embeddings()(IDS)], dim=1)
    if mask is not None:
        mask = torch.cat([torch.ones(len(IDS), prompts.shape[1], dtype=mask.dtype), mask], dim=1)
    with torch.no_grad():
        return model(inputs_embeds=embeddings, attention_mask=mask).last_hidden_state[:, prompts.shape[1] :]


@pytest.mark.parametrize("made", [gpt2, llama])
def test_prompts_stand_in_front_and_are_cut_off(made):
    model = made()
    plain = hidden(model)
    attached, module = attached_to(model)
    mask = torch.tensor([[0, 1, 1], [1, 1, 1], [0, 0, 1], [1, 1, 1]])
    with torch.no_grad():
        found = model(input_ids=IDS, attention_mask=mask, output_hidden_states=True)
    assert found.last_hidden_state.shape == plain.shape == found.hidden_states[0].shape
    attached.use([])
    expected = by_hand(model, module.get_submodule("0").tokens.expand(4, -1, -1), mask)
    real = mask == 1
    assert torch.allclose(found.last_hidden_state[real], expected[real], rtol=0, atol=1e-10)
    assert torch.equal(hidden(model), plain)
    attached.use(["a"])
    attached.detach()
    assert torch.equal(hidden(model), plain)


def test_each_example_has_the_prompts_chosen_for_it_one_or_several():
    model = gpt2()
    attached, module = attached_to(model, entries=3)
    tokens = module.get_submodule("0").tokens
    for chosen in (torch.tensor([0, 2, 1, 2]), torch.tensor([[0, 1], [2, 0], [1, 2], [2, 1]])):
        attached.use(["a"])
        attached.select(chosen)
        found = hidden(model)
        attached.use([])
        prompts = torch.stack([torch.cat([tokens[i] for i in row.reshape(-1)]) for row in chosen])
        assert torch.allclose(found, by_hand(model, prompts), rtol=0, atol=1e-10)


def test_a_cache_and_a_backbone_of_images_are_refused():
    model = gpt2()
    cache = model(input_ids=IDS, use_cache=True).past_key_values
    attached_to(model)
    with pytest.raises(UsageError, match="without a cache of earlier ones"):
        model(input_ids=IDS, past_key_values=cache)
    with pytest.raises(UsageError, match="reads no embeddings of tokens"):
        PromptPet(2).attach(torch.nn.Linear(2, 2), find_blocks(model))
