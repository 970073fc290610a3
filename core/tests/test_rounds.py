"""Rows that the model makes while it is trained: kept with their origin, made once, the same after any interruption."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from children import Fault, digests, recipe_text
from torch import nn

from omnitrain.api import BatchPlan, Config, Loss, UseData, UseModel, UseObjective
from omnitrain.engine import Engine, FitSettings, Ledger, Parts, Trainer, isolated, make_feed, scratch_run, weights_digest
from omnitrain.engine.dryrun import dry_run
from omnitrain.engine.parts import prepare_data
from omnitrain.engine.rounds import RoundFeed, make_part, round_rows
from omnitrain.errors import DataError, EnvironmentFault, PluginError
from omnitrain.plugins import installed
from omnitrain.recipes import load_recipe
from omnitrain_toy import configs, parts

ROUNDS = {"rows": {"form": "rounds"}}  # 20 updates, 6 a round, 2 parts a round
ALL = [f"{number} {part}" for number in range(4) for part in range(2)]


def kept(out):
    with Ledger(out / "train" / "rounds", json.loads((out / "train" / "stage.json").read_text())["fingerprint"]) as ledger:
        return list(round_rows(ledger))


def test_model_makes_new_rows_every_few_updates_and_they_are_kept_with_round_and_weights(train):
    whole = train("whole", **ROUNDS)
    assert whole.made == ALL
    rows = kept(whole.out)
    assert [number for number, _, _ in rows] == [number for number in range(4) for _ in range(20)]
    digits = [len({weights for number, weights, _ in rows if number == n}) for n in range(4)]
    assert digits == [1] * 4
    assert len({weights for _, weights, _ in rows}) == 4
    events = [(event["number"], event["rows"], event["weights"]) for event in whole.events("round")]
    assert events == [(n, 20, next(weights for number, weights, _ in rows if number == n)) for n in range(4)]


@pytest.mark.parametrize("action", ["kill", "term", "fail"])
@pytest.mark.parametrize("at", [1, 4, 5, 8])
def test_nothing_is_made_twice_whatever_interrupts_the_making(train, action, at):
    whole = train("whole", **ROUNDS)
    stopped = train("run", Fault(action, "part", at), **ROUNDS)
    assert stopped.code == {"kill": -9, "term": 75, "fail": 1}[action]
    # A request to stop is heard behind the part that is being made; the last part of a round is followed by an update.
    assert stopped.made == ALL[: at - 1 + (action == "term")]
    if action == "fail" and at > 2:
        assert stopped.saves[-1] == 6 * ((at - 1) // 2)  # what was trained before the round is not lost
    resumed = train("run", **ROUNDS)
    assert resumed.code == 0
    assert stopped.made + resumed.made == ALL
    assert digests(resumed.out, checkpoints=False) == digests(whole.out, checkpoints=False)
    assert kept(resumed.out) == kept(whole.out)


def test_rounds_without_their_rows_are_not_gone_on_with(train):
    settings = {**ROUNDS, "fit": {"checkpoint_every": 2}}
    failed = train("run", Fault("fail", "forward", 11), **settings)
    assert failed.saves[-1] == 10
    (failed.out / "train" / "rounds" / "items.jsonl").unlink()
    outcome = train("run", **settings)
    assert outcome.code == 5
    assert "rows of round 1" in outcome.error["text"]
    assert "begin anew with another --out" in outcome.error["text"]


class Toy:
    """A round feed of the toy data over a small model, with dropout in one layer that is held in evaluation mode."""

    def __init__(self, run, **settings):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5), nn.Linear(3, 1))
        self.model[1].eval()
        self.data = parts.Rows(configs.Rows(form="rounds", **settings), None)
        made = Parts(self.data, self.model, parts._Square(configs.Square()))
        self.feed = RoundFeed(run, Engine(device="cpu"), made, "train", BatchPlan(8, 5), FitSettings(steps=20))


def numbers(batches):
    return [batch["y"].tolist() for batch in batches]


def test_making_leaves_model_and_generators_as_they_were_and_draws_from_a_seed_of_its_own():
    with scratch_run() as run, scratch_run() as other:
        one, two = Toy(run), Toy(other)
        digits = weights_digest(one.model)
        with isolated(1):
            before = torch.get_rng_state(), np.random.get_state()[1]
            first = numbers(one.feed.next())
            assert torch.equal(torch.get_rng_state(), before[0])
            assert np.array_equal(np.random.get_state()[1], before[1])
        assert [layer.training for layer in one.model] == [True, False, True]
        assert weights_digest(one.model) == digits
        with isolated(2):
            assert numbers(two.feed.next()) == first


def test_validation_stays_the_same_over_the_rounds():
    with scratch_run() as run:
        toy = Toy(run)
        plan = BatchPlan(8, seed=0, train=False)
        before = make_feed(toy.data, "valid", plan).next()[0]
        toy.feed.next()
        after = make_feed(toy.data, "valid", plan).next()[0]
        assert all(np.array_equal(before[name], after[name]) for name in before)


def test_rows_are_those_of_the_weights_at_the_beginning_of_the_round():
    with scratch_run() as run:
        toy = Toy(run, round_updates=2)
        found = []
        for _ in range(4):
            found.append(weights_digest(toy.model))
            toy.feed.next()
            with torch.no_grad():
                toy.model[0].weight.add_(0.1)
        assert [weights for _, weights, _ in round_rows(run.ledger("rounds"))] == [found[0]] * 20 + [found[2]] * 20


@pytest.mark.parametrize("rows", [[torch.ones(1)], [{"x": float("nan")}], [{1, 2}]])
def test_rows_that_are_no_plain_json_are_refused(rows):
    data = SimpleNamespace(make_part=lambda model, number, part: rows)
    with pytest.raises(PluginError, match="must return rows of plain JSON"):
        make_part(data, nn.Linear(1, 1), 0, 0, 0)


def test_rounds_without_rows_or_updates_are_refused():
    with scratch_run() as run:
        toy = Toy(run)
        with pytest.raises(DataError, match="'train' has no examples before the model has made a round"):
            make_feed(toy.data, "train", BatchPlan(8, 0))
        toy.data.parts = 0
        with pytest.raises(DataError, match="made no rows in round 0"):
            toy.feed.next()
        with pytest.raises(PluginError, match="at least 1 update"):
            Toy(run, round_updates=0)


def test_trainer_trains_in_rounds_too():
    with scratch_run() as run:
        toy = Toy(run, round_updates=2)
        settings = FitSettings(steps=4, batch_size=8, evaluate_batches=0)
        with Trainer(run.part("rounds"), Parts(toy.data, toy.model, parts._Square(configs.Square())), settings) as trainer:
            trainer.until(3)
            trainer.until()
        assert {number for number, _, _ in round_rows(run.part("rounds").ledger("rounds"))} == {0, 1}


def test_dry_run_says_that_the_model_makes_the_rows(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(recipe_text(**ROUNDS))
    [check] = dry_run(load_recipe(str(recipe)), installed(), tmp_path / "out", quiet=True).stages
    assert check.problems == []
    assert "the model makes its rows while it is trained, every 6 updates anew" in check.notes


def test_missing_rows_are_a_fault_of_the_environment():
    with scratch_run() as run:
        toy = Toy(run)
        with pytest.raises(EnvironmentFault, match="2 of 2 parts are missing"):
            toy.feed.load_state_dict({"update": 3, "weights": "0" * 64, "feed": {"update": 3}})


class HoldsModel(Config):
    """Settings of an objective with a reference."""

    reference: UseModel
    """The reference."""


@pytest.mark.parametrize(("config", "builds"), [(HoldsModel(reference=UseModel(use="toy/net")), 1), (configs.Square(), 2)])
def test_objective_that_holds_a_model_is_built_once_with_the_facts(config, builds):
    objective = UseObjective(use="toy/square")
    objective.resolved(config)
    told = []

    def build(use, facts):
        if use.kind == "data":
            return parts.Rows(configs.Rows(path="x"), None)
        told.append(dict(facts))
        return parts._Square(configs.Square())

    with scratch_run(build=build) as run:
        prepare_data(SimpleNamespace(data=UseData(use="toy/rows"), objective=objective), run)
    assert len(told) == builds
    assert told[-1] == {"inputs": 4}


class Growing(parts._Mapped):
    """Data that the model lacks an output for."""

    def extend(self, model):
        model.append(nn.Linear(1, 1))


def test_data_extend_a_model_that_is_opened_for_them():
    def build(use, facts):
        return nn.Sequential(nn.Linear(4, 1))

    with scratch_run(installed(), build=build) as run:
        use = UseModel(use="toy/net")
        use.resolved(configs.Net())
        assert len(run.open(use, device="cpu", data=Growing(configs.Rows(), None)).model) == 2


class Reference(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 1)


class Leashed:
    """An objective with a reference model."""

    needs = {"x": "float[batch, 4]"}  # noqa: RUF012

    def __init__(self, model):
        self.reference, self.more, self.own = Reference(), [Reference()], model

    def __call__(self, model, batch, /):
        return Loss((model(batch["x"]) - self.reference.layer(batch["x"])).square().sum(), 1.0)


def test_models_that_an_objective_holds_are_moved_and_never_trained():
    with scratch_run() as run:
        toy = Toy(run)
        objective = Leashed(toy.model)
        Parts(toy.data, toy.model, objective).ready(torch.device("cpu"))
        held = [objective.reference, objective.more[0]]
        assert not any(module.training or any(p.requires_grad for p in module.parameters()) for module in held)
        assert all(p.requires_grad for p in toy.model.parameters())
        Parts(toy.data, toy.model, objective).to(torch.device("meta"))
        assert all(p.is_meta for module in held for p in module.parameters())
