"""What wraps data passes on every ability that the data has."""

import inspect

import numpy as np
import pytest
from mixing import Drawn, Gathered, Listed, Streamed, mixture

from omnitrain.api import BatchPlan, OrdersBatches, Piece, protocols
from omnitrain.engine import DataWrapper, make_feed
from omnitrain.errors import UsageError

PLAN = BatchPlan(6, 0)
DATA = {
    "Prepares",
    "TellsFacts",
    "SavesAssets",
    "OrdersBatches",
    "MakesFeed",
    "TellsOrder",
    "Gathers",
    "DrawsExamples",
    "ExtendsModel",
    "FollowsModel",
    "MakesRounds",
    "ExplainsBatches",
    "SplitsBatches",
}
OTHERS = {
    "stages and configs": {"ChecksMachine", "PlansStage", "TellsArtifacts", "TellsNeeds"},
    "objectives": {"CarriesState", "TrainsOnly", "Weighs"},
    "evaluators": {"ChecksData", "ChecksModel"},
    "models and predictors": {
        "FitsData",
        "Generates",
        "GroupsParameters",
        "NamesSaved",
        "SavesItself",
        "Scores",
    },
}
ABILITIES = [getattr(protocols, name) for name in sorted(DATA)]


class Doubled(DataWrapper):
    fingerprint = "1" * 16

    def change(self, batch):
        return {**batch, "x": 2 * batch["x"]}


class Able(Listed):
    """Data with every ability that does not change its batches."""

    def __init__(self, *args):
        super().__init__(*args)
        self.seen = []

    def prepare(self, workspace, context):
        self.seen.append("prepared")

    def extend(self, model):
        self.seen.append(f"extended {model}")

    def follow(self, model):
        self.seen.append(model)

    def save_assets(self, directory):
        self.seen.append(directory)

    def explain(self, batch, row):
        return {"x": [Piece(str(int(batch["x"][row])))]}

    def order(self, split, plan, updates):
        return {"all": f"{updates} updates of {split}"}


def test_every_ability_is_known_to_be_of_data_or_not():
    """A new ability of data is passed on in omnitrain.engine.wrapping and by omnitrain.mixture, then named here."""
    found = {
        name
        for name, value in vars(protocols).items()
        if inspect.isclass(value) and getattr(value, "_is_runtime_protocol", False) and value.__module__ == protocols.__name__
    }
    assert found == DATA.union(*OTHERS.values())


@pytest.mark.parametrize("made", [Doubled, lambda data: mixture({"a": data})], ids=["wrapper", "mixture"])
def test_abilities_beside_the_batches_are_passed_on(made, tmp_path):
    inner = Able(10)
    data = made(inner)
    data.prepare(tmp_path, None)
    data.extend("model")
    data.follow("model")
    data.save_assets(tmp_path)
    assert inner.seen[:3] == ["prepared", "extended model", "model"]
    assert len(inner.seen) == 4
    assert data.facts()["pad_id"] == 9
    (batch,) = make_feed(data, "train", PLAN).next()
    assert data.explain(batch, 0)["x"] == [Piece(str(int(batch["x"][0])))]
    assert data.order("train", PLAN, 7)


class Rounds(Listed):
    """Data whose rows a model makes."""

    round_updates = 3

    def round_parts(self, number):
        return 2

    def make_part(self, model, number, part):
        return [model + number + part]

    def take_round(self, number, rows):
        self.rows = rows


def test_rounds_of_a_model_are_passed_on_by_a_wrapper_and_refused_by_a_mixture():
    wrapped = Doubled(Rounds(4))
    assert isinstance(wrapped, protocols.MakesRounds)
    assert not isinstance(Doubled(Listed(4)), protocols.MakesRounds)
    assert (wrapped.round_updates, wrapped.round_parts(0), wrapped.make_part(1, 2, 3)) == (3, 2, [6])
    wrapped.take_round(0, [5])
    assert wrapped.inner.rows == [5]
    with pytest.raises(UsageError, match="the model makes the rows of b in rounds"):
        mixture({"a": Listed(4), "b": Rounds(4)})


@pytest.mark.parametrize(
    "kind", [Listed, Gathered, Drawn, Streamed, lambda *of: mixture({"a": Drawn(*of), "b": Streamed(*of)})]
)
@pytest.mark.parametrize("accumulate", [1, 3])
def test_changed_batches_come_in_the_order_and_cut_of_the_data(kind, accumulate):
    plain, doubled = kind(10, 1), Doubled(kind(10, 1))
    for ability in (
        protocols.FollowsModel,
        protocols.Gathers,
        protocols.DrawsExamples,
        protocols.OrdersBatches,
        protocols.SavesAssets,
    ):
        assert isinstance(doubled, ability) == isinstance(plain, ability)
    one, other = (make_feed(data, "train", PLAN, accumulate) for data in (plain, doubled))
    for _ in range(3):
        for batch, changed in zip(one.next(), other.next(), strict=True):
            assert np.array_equal(2 * batch["x"], changed["x"])
    again = make_feed(doubled, "train", PLAN, accumulate)
    again.load_state_dict(other.state_dict())
    for batch, changed in zip(one.next(), again.next(), strict=True):
        assert np.array_equal(2 * batch["x"], changed["x"])


def test_own_abilities_of_a_wrapper_are_kept():
    class Own(Doubled):
        def explain(self, batch, row):
            return {"own": []}

    assert Own(Able(4)).explain({}, 0) == {"own": []}
    assert isinstance(Own(Streamed(4)), OrdersBatches)
    assert not isinstance(Own(Listed(4)), OrdersBatches)
    assert type(Own(Streamed(4))).__name__ == "Own"
