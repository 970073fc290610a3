"""An optimiser may be made over groups of parameters, where what is trained is no module."""

import torch
from torch import nn

from omnitrain.engine import OptimiserConfig, make_optimiser, set_learning_rate


def test_given_groups_stand_in_a_models_place_with_their_own_scale_and_decay():
    weight, bias = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))
    config = OptimiserConfig(name="adam", weight_decay=0.1)
    optimiser = make_optimiser(config, [{"params": [weight]}, {"params": [bias], "lr_scale": 2.0, "weight_decay": 0.0}], 0.5)
    set_learning_rate(optimiser, 0.25)
    assert [group["params"] for group in optimiser.param_groups] == [[weight], [bias]]
    assert [(group["lr"], group["weight_decay"]) for group in optimiser.param_groups] == [(0.25, 0.1), (0.5, 0.0)]
