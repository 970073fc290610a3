"""An optimiser may be made over groups of parameters, where what is trained is no module."""

import torch
from torch import nn

from omnitrain.api import Loss
from omnitrain.engine import (
    FitSettings,
    OptimiserConfig,
    Parts,
    make_optimiser,
    scratch_run,
    set_learning_rate,
    train,
    weights_digest,
)
from omnitrain_toy import configs, parts


def test_given_groups_stand_in_a_models_place_with_their_own_scale_and_decay():
    weight, bias = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))
    config = OptimiserConfig(name="adam", weight_decay=0.1)
    optimiser = make_optimiser(config, [{"params": [weight]}, {"params": [bias], "lr_scale": 2.0, "weight_decay": 0.0}], 0.5)
    set_learning_rate(optimiser, 0.25)
    assert [group["params"] for group in optimiser.param_groups] == [[weight], [bias]]
    assert [(group["lr"], group["weight_decay"]) for group in optimiser.param_groups] == [(0.25, 0.1), (0.5, 0.0)]


class Half:
    """An objective for the first layer of a model."""

    needs = {"x": "float[batch, 4]", "y": "float[batch]"}  # noqa: RUF012

    def trained(self, model):
        return model[0].parameters()

    def __call__(self, model, batch, /):
        return Loss((model(batch["x"]).squeeze(-1) - batch["y"]).square().sum(), float(len(batch["y"])))


def test_objective_for_a_part_of_the_model_trains_that_part_only():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 1))
    before = [weights_digest(layer) for layer in model]
    settings = FitSettings(steps=3, batch_size=4, optimiser={"weight_decay": 0.1}, evaluate_batches=0)
    with scratch_run() as run:
        train(run.part("half"), Parts(parts.Rows(configs.Rows(), None), model, Half()), settings)
    assert [weights_digest(layer) == digits for layer, digits in zip(model, before, strict=True)] == [False, True]
