"""Small models as one batch."""

import torch
from helpers import VOCABULARY, gpt2, llama

from omnitrain_eft.models.stacking import can_stack, stack


def test_stacked_models_share_their_weights_and_give_their_logits(family):
    models = [family(2, 16, seed) for seed in range(3)]
    ids = torch.randint(2, VOCABULARY, (2, 7))
    with torch.no_grad():
        alone = torch.cat([model(ids).logits for model in models])
    whole = stack(models)
    position = torch.arange(7).expand(6, -1)
    with torch.no_grad():
        together = whole(ids.repeat(3, 1), position_ids=position).logits
        after = torch.cat([model(ids).logits for model in models])
    torch.testing.assert_close(together, alone)
    assert torch.equal(after, alone)
    held = {p.untyped_storage().data_ptr(): p.untyped_storage().nbytes() for m in (whole, *models) for p in m.parameters()}
    single = {p.untyped_storage().data_ptr(): p.untyped_storage().nbytes() for p in family(2, 16, 9).parameters()}
    assert sum(held.values()) == 3 * sum(single.values())


def test_models_of_other_shapes_are_not_stacked():
    assert not can_stack([gpt2(1, 16, 0), gpt2(1, 32, 1)])
    assert not can_stack([gpt2(1, 16, 0), llama(1, 16, 1)])
    assert not can_stack([gpt2(1, 16, 0)])
