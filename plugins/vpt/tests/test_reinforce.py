"""Reinforcement: the leash, the value head, both phases."""

import copy

import numpy as np
import pytest
import torch

from omnitrain.engine import Engine
from omnitrain.errors import NumericalError
from omnitrain_control.rollouts import Collector
from omnitrain_vpt.configs.data import WorldConfig
from omnitrain_vpt.configs.models import PolicyConfig
from omnitrain_vpt.configs.stages import ReinforceConfig
from omnitrain_vpt.models.acting import PolicyActor
from omnitrain_vpt.models.network.heads import kl_divergence, log_prob
from omnitrain_vpt.models.policy import build as build_policy
from omnitrain_vpt.paper.phasic import leash, policy_loss
from omnitrain_vpt.stages.reinforce import Phasic, Reinforcement, actions_of
from omnitrain_vpt.world.environments import make_fleet

WORLD = WorldConfig(area=16, worlds=1, cell=4, steps=11)


@pytest.fixture
def make_loop(context, run):
    loops = []

    def make(**settings):
        config = ReinforceConfig(
            model={"use": "vpt/policy"}, world=WORLD, environments=2, chunks=2, steps=8, batch_chunks=2, **settings
        )
        torch.manual_seed(0)
        policy = build_policy(PolicyConfig(size="tiny"), context)
        fleet = make_fleet(WORLD, context.workspace, 2, 1, size=32, rewards={"log": (8, 1.0)})
        phasic = Phasic(policy, config, Engine(device="cpu"), run)
        loops.append(Reinforcement(config, run, phasic, fleet))
        return loops[-1]

    yield make
    for loop in loops:
        loop.fleet.close()


def test_the_leash_shortens_with_every_iteration():
    assert leash(0.2, 0.9995, 0) == 0.2
    assert leash(0.2, 0.9995, 100) == pytest.approx(0.2 * 0.9995**100)


def test_the_value_head_begins_with_output_zero(make_loop):
    loop = make_loop()
    chunks, _ = loop.play()
    assert all(not chunk["target"].any() or chunk["target"].abs().sum() > 0 for chunk in chunks)
    assert not loop.phasic.policy.value_head.linear.weight.any()
    assert loop.phasic.policy.value_head.linear.weight.requires_grad


def test_chunks_give_the_log_probabilities_that_acting_gave(make_loop):
    loop = make_loop()
    loop.play()
    chunks, _ = loop.play()
    assert any(chunk["first"][1:].any() for chunk in chunks), "an episode must end inside a chunk"
    batch = {name: torch.stack([chunk[name] for chunk in chunks]) for name in chunks[0]}
    with torch.no_grad():
        output = loop.phasic.forward(loop.phasic.policy, batch, "policy")
        pretrained = loop.phasic.forward(loop.phasic.pretrained, batch, "pretrained")
    torch.testing.assert_close(log_prob(output.log_probs, actions_of(batch)), batch["log_prob"], atol=1e-4, rtol=1e-4)
    # Before any update the two policies and their memories are the same.
    assert kl_divergence(pretrained.log_probs, output.log_probs).abs().max() < 1e-5


def test_the_pretrained_policy_keeps_its_weights_and_its_own_memory(make_loop):
    loop = make_loop(learning_rate=0.01, leash=0.2)
    before = {name: value.clone() for name, value in loop.phasic.pretrained.state_dict().items()}
    for number in range(3):
        values = loop.iteration(number)
    assert all(torch.equal(value, before[name]) for name, value in loop.phasic.pretrained.state_dict().items())
    assert not torch.allclose(loop.pretrained_state["keys"], loop.actor.state["keys"])
    assert values["leash"] > 0
    assert values["rho"] == pytest.approx(0.2 * 0.9995**2)


def test_switching_the_leash_off_is_one_setting(make_loop):
    values = make_loop(leash=0.0).iteration(0)
    assert values["leash"] == 0.0
    assert values["rho"] == 0.0


def test_a_strong_leash_holds_the_policy_nearer(make_loop):
    distances = []
    for rho in (0.0, 10.0):
        loop = make_loop(learning_rate=3e-3)
        chunks, _ = loop.play()
        batch = {name: torch.stack([chunk[name] for chunk in chunks]) for name in chunks[0]}
        batch["advantage"] = torch.randn(batch["advantage"].shape, generator=torch.Generator().manual_seed(0))
        for _ in range(10):
            terms = loop.phasic.wake(batch, rho)
        with torch.no_grad():
            now = loop.phasic.forward(loop.phasic.policy, batch, "policy").log_probs
            held = loop.phasic.forward(loop.phasic.pretrained, batch, "pretrained").log_probs
        distances.append(float(kl_divergence(held, now).mean()))
        assert (terms.leash > 0) == (rho > 0)
    assert distances[1] < distances[0] / 2


@pytest.mark.parametrize("reach", ["head", "trunk"])
def test_the_value_moves_the_policy_in_the_wake_phase_only_where_that_is_asked_for(make_loop, reach):
    loop = make_loop(learning_rate=3e-3, weight_decay=0.0, wake_value=reach)
    chunks, _ = loop.play()
    batch = {name: torch.stack([chunk[name] for chunk in chunks]) for name in chunks[0]}
    batch["advantage"] = torch.zeros_like(batch["advantage"])
    batch["target"] = torch.randn(batch["target"].shape, generator=torch.Generator().manual_seed(0))
    policy = loop.phasic.policy
    with torch.no_grad():
        before = loop.phasic.forward(policy, batch, "policy").log_probs
    for _ in range(3):  # the head begins with zeros, which let no gradient through
        loop.phasic.wake(batch, 0.0)
    with torch.no_grad():
        now = loop.phasic.forward(policy, batch, "policy").log_probs
    assert policy.value_head.linear.weight.any()
    assert bool(kl_divergence(before, now).abs().max() > 1e-6) == (reach == "trunk")


def test_sleep_comes_every_second_iteration_and_empties_what_was_kept(make_loop):
    loop = make_loop()
    assert "sleep_kl" not in loop.iteration(0)
    assert len(loop.awake) == 4
    values = loop.iteration(1)
    assert values["sleep_value"] >= 0
    assert loop.awake == []
    assert "sleep_kl" not in make_loop(sleep_every=0).iteration(1)


def test_a_loop_goes_on_from_its_state(make_loop):
    one, two = make_loop(), make_loop()
    one.iteration(0)
    # Through a copy, as through a file: an optimiser takes the tensors that it is given.
    two.load_state_dict(copy.deepcopy(one.state_dict()))
    assert one.iteration(1) == two.iteration(1)


def test_bad_updates_in_a_row_end_the_stage_after_as_many_as_the_settings_allow(make_loop):
    loop = make_loop(skip_nonfinite=2)
    chunks, _ = loop.play()
    batch = {name: torch.stack([chunk[name] for chunk in chunks]) for name in chunks[0]}
    batch["advantage"] = torch.full_like(batch["advantage"], float("nan"))
    before = {name: value.clone() for name, value in loop.phasic.policy.named_parameters() if "normalizer" not in name}
    for _ in range(2):
        loop.phasic.wake(batch, 0.0)
    with pytest.raises(NumericalError, match="3 updates of policy in a row, up to step 3"):
        loop.phasic.wake(batch, 0.0)
    assert all(torch.equal(value, before[name]) for name, value in loop.phasic.policy.named_parameters() if name in before)


def test_a_policy_that_diverged_does_not_play(make_loop):
    loop = make_loop(learning_rate=1e30)
    with pytest.raises(NumericalError, match="not finite"):
        list(map(loop.iteration, range(20)))


def test_unclipped_surrogate_is_the_plain_policy_gradient():
    log_prob, old, advantage = torch.tensor([0.5, -1.0]), torch.tensor([0.0, -0.9]), torch.tensor([1.0, -2.0])
    found = policy_loss(log_prob, old, advantage, torch.zeros(2), clip=0.0)
    assert float(found.policy_gradient) == pytest.approx(float((-advantage * (log_prob - old).exp()).mean()))


def test_acting_costs_the_same_at_every_step_of_an_episode(context):
    torch.manual_seed(0)
    actor = PolicyActor(build_policy(PolicyConfig(size="tiny"), context), 2, torch.Generator().manual_seed(0))
    shapes = set()
    for step in range(40):
        actor.act(np.zeros((2, 32, 32, 3), np.uint8), np.full(2, step == 0))
        shapes.add(tuple(actor.state["keys"].shape))
    assert len(shapes) == 1


def test_actors_with_one_seed_play_the_same(context):
    torch.manual_seed(0)
    policy = build_policy(PolicyConfig(size="tiny"), context)
    found = []
    for _ in range(2):
        with make_fleet(WORLD, context.workspace, 2, 1, size=32) as fleet:
            rollout = Collector(fleet).collect(PolicyActor(policy, 2, torch.Generator().manual_seed(4)), 10)
            found.append(rollout.kept["joint_buttons"])
    assert np.array_equal(*found)
