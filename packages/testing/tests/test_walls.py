"""A loss that is for a part of the model is held to it, and a test can ask what a step of several optimisers moved."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from omnitrain.api import Loss
from omnitrain.engine import Engine, Updater, UpdaterConfig, scratch_run
from omnitrain_testing.checks.objectives import gradients
from omnitrain_testing.walls import touched


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.actor, self.critic, self.idle = nn.Linear(2, 2), nn.Linear(2, 1), nn.Linear(1, 1)


class ActorLoss:
    needs = {"x": "float[batch, 2]"}  # noqa: RUF012

    def __init__(self, detached: bool, whole: bool = False) -> None:
        self.detached, self.whole = detached, whole

    def trained(self, model: Pair) -> list[nn.Parameter]:
        return [*model.actor.parameters(), *(model.idle.parameters() if self.whole else ())]

    def __call__(self, model: Pair, batch: Any, /) -> Loss:
        critic = model.critic.weight.detach() if self.detached else model.critic.weight
        return Loss((model.actor(batch["x"]) @ critic.T).sum(), len(batch["x"]))


def problems(objective: ActorLoss) -> list[str]:
    subject: Any = SimpleNamespace(objective=objective, model=Pair, batches=[{"x": torch.ones(3, 2)}])
    return [str(problem) for problem in gradients(subject)]


def test_loss_that_stays_within_what_it_trains_passes() -> None:
    assert problems(ActorLoss(detached=True)) == []


def test_loss_that_reaches_what_it_does_not_train_is_told() -> None:
    [problem] = problems(ActorLoss(detached=False))
    assert "reaches critic.weight, which 'trained' does not name" in problem


def test_part_that_the_loss_does_not_reach_is_told() -> None:
    [problem] = problems(ActorLoss(detached=True, whole=True))
    assert "No gradient reaches idle.weight, idle.bias" in problem


def test_networks_that_a_step_moves_or_leaves_gradients_in_are_named() -> None:
    pair, x = Pair(), torch.ones(3, 2)
    networks = {"actor": pair.actor, "critic": pair.critic, "idle": pair.idle}
    with scratch_run() as run:
        updater = Updater("actor", run, Engine(device="cpu"), pair.actor, UpdaterConfig(), steps=2)
        assert touched(lambda: updater.minimise(pair.critic(pair.actor(x)).sum()), networks) == ["actor"]
    optimiser = torch.optim.SGD(pair.actor.parameters(), lr=0.1)

    def careless() -> None:
        pair.critic(pair.actor(x)).sum().backward()
        optimiser.step()

    assert touched(careless, networks) == ["actor", "critic"]
