"""Several optimisers in one loop: each loss trains its own network, targets follow, and all of it goes on exactly."""

import copy

import pytest
import torch
from torch import nn

from omnitrain.engine import Engine, Journal, Target, Updater, UpdaterConfig, frozen, scratch_run, weights_digest
from omnitrain.errors import NumericalError, PluginError, Stopped, UsageError


def networks():
    torch.manual_seed(3)
    actor = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))
    critic = nn.Sequential(nn.Linear(5, 7), nn.LayerNorm(7), nn.Tanh(), nn.Linear(7, 1))
    return actor, critic, torch.randn(16, 3), torch.randn(16, 2), torch.randn(16)


def value(critic, seen, action):
    return critic(torch.cat([seen, action], 1)).squeeze(1)


def critic_loss(critic, seen, done, aim):
    return (value(critic, seen, done) - aim).square().mean()


def clean_norm(critic, *batch):
    alone = copy.deepcopy(critic)
    critic_loss(alone, *batch).backward()
    return float(torch.stack([p.grad.norm() for p in alone.parameters()]).norm())


def sgd(module, rate=0.0):
    return torch.optim.SGD(module.parameters(), lr=rate)


def test_update_leaves_no_gradient_in_a_network_that_the_loss_went_through():
    actor, critic, seen, done, aim = networks()
    expected = clean_norm(critic, seen, done, aim)
    engine, optimisers = Engine(device="cpu"), [sgd(actor), sgd(critic)]
    for _ in range(3):  # the first critic update comes before the engine has seen the critic's optimiser
        engine.backward(-5 * value(critic, seen, actor(seen)).mean())
        engine.update(optimisers[0])
        assert all(p.grad is None for p in (*actor.parameters(), *critic.parameters()))
        loss = critic_loss(critic, seen, done, aim)
        engine.backward(loss)
        assert float(engine.update(optimisers[1], loss=loss).norm) == pytest.approx(expected, rel=1e-5)


def test_one_backward_pass_serves_two_optimisers_where_it_is_said():
    actor, critic, seen, done, aim = networks()
    engine = Engine(device="cpu")
    engine.backward(critic_loss(critic, seen, done, aim) + actor(seen).square().sum())
    engine.update(sgd(actor), keep_others=True)
    assert all(p.grad is None for p in actor.parameters())
    assert float(engine.update(sgd(critic)).norm) == pytest.approx(clean_norm(critic, seen, done, aim), rel=1e-5)


def test_gradient_is_made_for_the_wanted_parameters_only():
    actor, critic, seen, _, _ = networks()
    engine = Engine(device="cpu")
    engine.backward(-value(critic, seen, actor(seen)).mean(), list(actor.parameters()))
    assert all(p.grad is not None for p in actor.parameters())
    assert all(p.grad is None for p in critic.parameters())
    engine.world = 2
    with pytest.raises(UsageError, match="one process only"):
        engine.backward(actor(seen).sum(), list(actor.parameters()))


def test_frozen_modules_pass_the_gradient_on_and_are_then_as_they_were():
    actor, critic, seen, _, _ = networks()
    critic[0].bias.requires_grad_(False)
    before = [p.requires_grad for p in critic.parameters()]

    def fail_within():
        with frozen(critic, actor[0]):
            with frozen(critic[0]):
                assert not any(p.requires_grad for p in critic.parameters())
            assert not any(p.requires_grad for p in critic.parameters())
            value(critic, seen, actor(seen)).sum().backward()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_within()
    assert [p.requires_grad for p in critic.parameters()] == before
    assert all(p.grad is None for p in (*critic.parameters(), *actor[0].parameters()))
    assert all(p.grad is not None for p in actor[2].parameters())


def test_updater_moves_its_own_parameters_at_its_own_rate_within_its_own_clip():
    actor, critic, seen, _, _ = networks()
    schedule = {"name": "linear", "warmup_steps": 0}
    config = UpdaterConfig(learning_rate=0.5, optimiser={"name": "sgd"}, schedule=schedule, clip_norm=1e-3)
    with scratch_run() as run:
        updater = Updater("actor", run, Engine(device="cpu"), actor, config, steps=2)
        kept = weights_digest(critic)
        for rate in (0.5, 0.25):
            before = [p.detach().clone() for p in actor.parameters()]
            update = updater.minimise(-value(critic, seen, actor(seen)).sum(), weight=4.0)
            moved = torch.stack([(p.detach() - q).norm() for p, q in zip(actor.parameters(), before, strict=True)]).norm()
            assert float(update.norm) > 1e-3
            assert float(moved) == pytest.approx(rate * 1e-3, rel=1e-3)
        assert weights_digest(critic) == kept
        assert all(p.grad is None for p in (*actor.parameters(), *critic.parameters()))


def test_falling_schedule_needs_the_planned_updates():
    with scratch_run() as run, pytest.raises(ValueError, match="linear schedule and needs steps"):
        Updater("actor", run, Engine(device="cpu"), nn.Linear(1, 1), UpdaterConfig(schedule={"name": "linear"}))


def test_updater_takes_a_bare_parameter():
    temperature = nn.Parameter(torch.zeros(()))
    with scratch_run() as run:
        config = UpdaterConfig(learning_rate=0.1, optimiser={"name": "sgd"})
        Updater("temperature", run, Engine(device="cpu"), [{"params": [temperature]}], config, steps=1).minimise(
            3 * temperature
        )
    assert temperature.item() == pytest.approx(-0.3)


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (lambda actor, critic, seen: critic(torch.zeros(1, 5)).sum(), "actor reaches none of its parameters"),
        (lambda actor, critic, seen: actor(seen).detach().sum(), "actor was given a loss without a gradient"),
        (lambda actor, critic, seen: actor(seen), r"loss of shape \[16, 2\]"),
    ],
)
def test_loss_that_trains_nothing_is_refused(loss, said):
    actor, critic, seen, _, _ = networks()
    with scratch_run() as run, pytest.raises(PluginError, match=said):
        Updater("actor", run, Engine(device="cpu"), actor, UpdaterConfig(), steps=1).minimise(loss(actor, critic, seen))


def test_updates_that_are_not_finite_are_told_with_the_updaters_name():
    actor, _, seen, _, _ = networks()
    with scratch_run() as run:
        updater = Updater("actor", run, Engine(device="cpu"), actor, UpdaterConfig(skip_nonfinite=1), steps=9)
        before = weights_digest(actor)
        updater.minimise(actor(seen).sum() * float("nan"))
        with pytest.raises(NumericalError, match="2 updates of actor in a row"):
            updater.minimise(actor(seen).sum() * float("nan"))
        assert weights_digest(actor) == before
        assert [event["updater"] for event in run.events("skipped update")] == ["actor", "actor"]


def live():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))


def test_target_follows_softly_with_its_buffers_and_takes_no_gradient():
    network = live()
    network(torch.randn(4, 2)).sum().backward()
    target = Target(network, rate=0.25)
    assert not target.network.training
    assert all(not p.requires_grad and p.grad is None for p in target.network.parameters())
    before = {name: tensor.clone() for name, tensor in target.network.state_dict().items()}
    with torch.no_grad():
        for p in network.parameters():
            p.add_(1.0)
    network(torch.randn(4, 2))
    target.update()
    for name, tensor in target.network.state_dict().items():
        now = network.state_dict()[name]
        expected = 0.75 * before[name] + 0.25 * now if tensor.is_floating_point() else now
        torch.testing.assert_close(tensor, expected)


def test_target_copies_every_few_updates():
    network = live()
    target = Target(network, rate=1.0, every=2)
    with torch.no_grad():
        network[0].weight.add_(1.0)
    old = weights_digest(target.network)
    target.update()
    assert weights_digest(target.network) == old
    target.update()
    assert weights_digest(target.network) == weights_digest(network)
    network.append(nn.Linear(3, 1))
    target.update()
    with pytest.raises(PluginError, match="make it anew"):
        target.update()


@pytest.mark.parametrize("rate", [0.0, 1.5])
def test_target_refuses_a_rate_that_is_none(rate):
    with pytest.raises(ValueError, match="rate in"):
        Target(live(), rate)


class Learning:
    """A critic with a slow target, an actor that is updated half as often, a temperature."""

    def __init__(self, run):
        self.actor, self.critic, *self.batch = networks()
        self.temperature = nn.Parameter(torch.zeros(()))
        engine = Engine(device="cpu")
        falling = {"schedule": {"name": "cosine", "warmup_steps": 2}}
        self.of_actor = Updater("actor", run, engine, self.actor, UpdaterConfig(clip_norm=0.1, **falling), steps=6)
        self.of_critic = Updater("critic", run, engine, self.critic, UpdaterConfig(learning_rate=3e-3), steps=12)
        groups = [{"params": [self.temperature]}]
        self.of_temperature = Updater("temperature", run, engine, groups, UpdaterConfig(optimiser={"name": "sgd"}), steps=12)
        self.target = Target(self.critic, rate=0.05, every=3)

    def parts(self):
        updaters = {u.name + "-updater": u for u in (self.of_actor, self.of_critic, self.of_temperature)}
        return {**updaters, "target": self.target}

    def collect(self):
        weights = {"actor": self.actor.state_dict(), "critic": self.critic.state_dict()}
        return {**weights, "temperature": self.temperature, **{n: p.state_dict() for n, p in self.parts().items()}}

    def restore(self, state):
        self.actor.load_state_dict(state["actor"])
        self.critic.load_state_dict(state["critic"])
        self.temperature.data.copy_(state["temperature"])
        for name, part in self.parts().items():
            part.load_state_dict(state[name])

    def update(self, step):
        seen, done, aim = self.batch
        with torch.no_grad():
            aim = aim + 0.9 * value(self.target.network, seen, self.actor(seen)) + 0.01 * torch.randn(16)
        self.of_critic.minimise(critic_loss(self.critic, seen, done, aim))
        self.target.update()
        if step % 2 == 0:
            self.of_actor.minimise(-value(self.critic, seen, self.actor(seen)).mean())
        self.of_temperature.minimise(self.temperature.square() + self.temperature)

    def digits(self):
        temperature = self.temperature.item()
        return weights_digest(self.actor), weights_digest(self.critic), weights_digest(self.target.network), temperature


def learn(run, asked=0):
    torch.manual_seed(1)
    learning = Learning(run)
    journal = Journal(run, learning.collect, learning.restore)
    for step in range(journal.resume() + 1, 13):
        learning.update(step)
        if step == asked:
            run.ask_to_stop()
        journal.after(step, 12)
    return learning.digits()


def test_several_optimisers_and_a_target_go_on_exactly():
    with scratch_run() as run:
        whole = learn(run)
    with scratch_run() as run:
        with pytest.raises(Stopped):
            learn(run, asked=7)
        run._stop._reason = None
        assert learn(run) == whole
