"""Every way to tune: what is trained, what a fresh one changes, which entries examples get, and what is left untouched."""

import pytest
import torch

from omnitrain.errors import DataError
from omnitrain_l2m.configs.models import METHODS, MethodConfig
from omnitrain_l2m.models.network import Mddt, Shape
from omnitrain_l2m.models.tuned import Tuned
from omnitrain_l2m.objectives import Actions
from omnitrain_l2m.paper.selection import count_weights
from omnitrain_l2m.paper.tokens import Tokeniser

SMALL = {"pool": 6, "rank": 2, "length": 3, "reduction": 4}
FRONT = ("prompt", "prefix", "l2p-pt", "l2p-pret", "l2p-pv2")


def backbone():
    torch.manual_seed(0)
    return Mddt(Shape(7, 3, 16, 2, 2, 20, 24, dropout=0.0), Tokeniser(8))


def tuned(name, tasks=1, **settings):
    own = {key: value for key, value in SMALL.items() if key in METHODS[name]}
    return Tuned(backbone(), MethodConfig(name=name, **{**own, **settings}), tasks)


def batch(rows=4, seed=1):
    generator = torch.Generator().manual_seed(seed)
    found = {
        "observations": torch.randn(rows, 3, 7, generator=generator),
        "actions": torch.rand(rows, 3, 3, generator=generator) * 2 - 1,
        "action_mask": torch.ones(rows, 3, 3, dtype=torch.bool),
        "rewards": torch.randn(rows, 3, generator=generator),
        "returns_to_go": torch.randn(rows, 3, generator=generator),
        "timesteps": torch.arange(3).expand(rows, 3).clone(),
        "attention_mask": torch.ones(rows, 3, dtype=torch.bool),
    }
    found["attention_mask"][0, 0] = found["action_mask"][0, 0] = False
    return found


def rows_of(found, rows):
    return {name: values[rows] for name, values in found.items()}


def perturbed(model):
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(5)) * 0.3)
    return model.eval()


def loss_of(model, given):
    loss = Actions()(model, given)
    total = loss.total / loss.weight
    for extra in loss.auxiliary.values():
        total = total + extra.coefficient * extra.total / extra.weight
    return total


@pytest.mark.parametrize("name", METHODS)
def test_only_what_a_method_tunes_learns(name):
    model = tuned(name)
    frozen = {n: p.detach().clone() for n, p in model.backbone.named_parameters() if not p.requires_grad}
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimiser = torch.optim.AdamW(model.parameter_groups(), lr=0.01)
    for seed in range(3):
        loss_of(model.train(), batch(seed=seed)).backward()
        optimiser.step()
        optimiser.zero_grad()
    moved = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert moved
    assert all(torch.equal(dict(model.backbone.named_parameters())[n], value) for n, value in frozen.items())
    if name not in ("full", "head", "last-layer"):
        assert not any(n.startswith("backbone") for n in moved)


@pytest.mark.parametrize("name", [n for n in METHODS if n not in FRONT])
@torch.no_grad()
def test_a_fresh_method_changes_nothing_and_a_bypassed_one_never(name):
    plain, model = backbone().eval(), tuned(name).eval()
    given = batch()
    assert torch.equal(model(given), plain(given))
    if model.modulator is not None:
        perturbed(model)
        assert not torch.equal(model(given), plain(given))
        with model.asked(bypass=True):
            assert torch.equal(model(given), plain(given))


@pytest.mark.parametrize("name", ["l2m", "l2p-pt", "l2p-pret", "l2p-pv2"])
def test_examples_of_one_batch_have_their_own_entries(name):
    model, given = perturbed(tuned(name)), batch(8)
    together = model(given)
    assert len(model.chosen[:, 0].unique()) > 1
    for row in range(8):
        alone = model(rows_of(given, [row]))
        real = given["attention_mask"][row]
        torch.testing.assert_close(alone[0][real], together[row][real], rtol=1e-5, atol=1e-5)


def test_gradients_reach_chosen_entries_only():
    model, given = perturbed(tuned("l2m")), batch(4)
    loss_of(model, given).backward()
    chosen = set(model.chosen.flatten().tolist())
    for parameter in (model.keys.keys, *model.modulator.parameters()):
        reached = {entry for entry in range(6) if parameter.grad[entry].abs().sum() > 0}
        assert reached == chosen
    assert all(p.grad is None for p in model.backbone.parameters())


def test_entries_of_the_first_task_are_passed_over_in_training_and_not_in_evaluation():
    model, given = tuned("l2m").train(), batch(8)
    loss_of(model, given)
    first = set(model.chosen.flatten().tolist())
    model.begin_task(1)
    loss_of(model, given)
    assert not first & set(model.chosen.flatten().tolist())
    model.eval()(given)
    assert set(model.chosen.flatten().tolist()) == first


def test_the_oracle_chooses_within_the_block_of_the_task():
    model, given = tuned("l2m-oracle", tasks=3).eval(), batch(16)
    for task in range(3):
        with model.asked(task):
            model(given)
        assert set(model.chosen.flatten().tolist()) <= {2 * task, 2 * task + 1}


@pytest.mark.parametrize("query", ["states", "all", "layer-1", "last"])
def test_queries_know_nothing_of_what_modulates(query):
    fresh, changed = tuned("l2m", query=query).eval(), tuned("l2m", query=query)
    with torch.no_grad():
        for parameter in changed.modulator.parameters():
            parameter.add_(1.0)
    given = batch()
    tokens = fresh.backbone.embed(given)
    mask = given["attention_mask"]
    torch.testing.assert_close(changed.eval().query(tokens, mask), fresh.query(tokens, mask), rtol=0, atol=0)


def test_counts_and_the_task_are_saved_and_a_pre_trained_model_is_taken(tmp_path):
    model = tuned("l2m").train()
    loss_of(model, batch())
    model.begin_task(1)
    model.save(tmp_path)
    again = tuned("l2m")
    again.restore(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True))
    assert int(again.keys.task) == 1
    later = Tuned(backbone(), model.method, 3, 2)
    later.restore(tmp_path)
    assert int(later.keys.task) == 2
    torch.testing.assert_close(later.keys.weights, count_weights(model.keys.counts))
    with pytest.raises(DataError, match="nor one tuned by lora"):
        tuned("lora").restore(tmp_path)


def test_settings_that_a_method_lacks_are_refused():
    with pytest.raises(ValueError, match="full has no rank"):
        MethodConfig(name="full", rank=4)
    with pytest.raises(ValueError, match="top 9 is more than the pool's 6"):
        MethodConfig(name="l2p-pt", pool=6, top=9)
