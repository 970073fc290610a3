"""Data control/trajectories: users' files train and play through the command's own way, and refuse what they can't be."""

import logging
import sys
from typing import get_args

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from test_readers import flat, saved

from omnitrain.api import BatchPlan
from omnitrain.errors import DataError, EnvironmentFault, UsageError
from omnitrain_control.configs.data import ArrayName, TrajectoriesConfig
from omnitrain_control.data.trajectories import binned, build
from omnitrain_control.environments import make_environment
from omnitrain_control.episodes import EpisodeWriter
from omnitrain_control.objectives import Cloning
from omnitrain_control.readers.rules import NAMES
from omnitrain_testing.contexts import FakeContext
from omnitrain_testing.running import run_recipe

BOX = {"action_range": (-1.0, 1.0), "bins": 5}


def prepared(tmp_path, path, **settings):
    context = FakeContext(tmp_path / "workspace")
    data = build(TrajectoriesConfig(path=str(path), **settings), context)
    data.prepare(tmp_path / "workspace", context)
    return data


def first_batch(data, split="train", size=4, **plan):
    return next(iter(data.batches(split, BatchPlan(size, 0, train=split == "train", **plan))))


def test_single_steps_of_a_file_are_vectors_and_classes(tmp_path):
    data = prepared(tmp_path, saved(tmp_path / "a.npz", flat()), valid_fraction=0, rewards=True, **BOX)
    batch = data.collate([0, 2, 4])
    assert batch["observations"][:, 0].tolist() == [0, 2, 101]
    assert batch["actions"].tolist() == [[0], [2], [4]]
    assert batch["returns_to_go"].tolist() == [3, 1, 1]
    assert {name: str(values.dtype).removeprefix("torch.") for name, values in batch.items()} == {
        name: spec.partition("[")[0] for name, spec in data.batch.items()
    }
    facts = data.facts()
    assert (facts["observation_size"], facts["choices"], facts["classes"], facts["best_return"]) == (2, 1, 5, 3.0)
    assert binned(5, (-1.0, 1.0), 1).decode({"action": batch["actions"].numpy()}).tolist() == [[-1.0], [0.0], [1.0]]


def test_windows_are_padded_on_the_left_and_evaluation_sees_every_step_once(tmp_path):
    data = prepared(tmp_path, saved(tmp_path / "a.npz", flat((5, 3, 4))), valid_fraction=0.4, context=2, **BOX)
    seen = list(data.batches("valid", BatchPlan(3, 0, train=False)))
    held = data.trajectories.lengths[data._train :].tolist()
    assert sum(int(batch["attention_mask"].sum()) for batch in seen) == sum(held)
    one = data.collate([int(data.trajectories.offsets[1]) - 1])
    assert one["attention_mask"].tolist() == [[False, True]]
    assert one["action_mask"].tolist() == [[[False], [True]]]
    assert one["observations"][0, 0].tolist() == [0, 0]
    assert one["actions"][0, 0].item() == 0
    (pieces,) = data.explain(one, 0).values()
    assert [(piece.text, piece.role) for piece in pieces] == [
        ("-; ", "padding"),
        (f"{int(one['timesteps'][0, 1])}: 1; ", "loss"),
    ]


def test_draws_are_a_function_of_one_number(tmp_path):
    data = prepared(tmp_path, saved(tmp_path / "a.npz", flat((5, 3, 4))), context=2, **BOX)
    plan = BatchPlan(3, 9)
    straight = iter(data.batches("train", plan))
    batches = [next(straight) for _ in range(3)]
    again = data.batches("train", plan)
    again.load_state_dict({"next": 2})
    assert torch.equal(next(iter(again))["observations"], batches[2]["observations"])


def test_transitions_have_the_next_observation_and_what_is_terminal(tmp_path):
    arrays = flat(following=False, dones=np.array([0, 0, 1, 0, 1]))
    path = saved(tmp_path / "a.npz", arrays)
    with pytest.raises(DataError, match="has no terminals, and transitions ask for them"):
        prepared(tmp_path, path, transitions=True, actions="numbers")
    data = prepared(tmp_path, path, transitions=True, actions="numbers", dones="timeout", valid_fraction=0)
    assert list(data.examples("train")) == [0, 1, 3]
    batch = data.collate(data.examples("train"))
    assert batch["next_observations"][:, 0].tolist() == [1, 2, 101]
    assert batch["terminals"].tolist() == [False] * 3


def test_what_is_left_out_is_said_also_when_it_is_found_done(tmp_path, caplog):
    arrays = flat((3, 2, 4))
    arrays["observations"][1] = np.nan
    path = saved(tmp_path / "a.npz", arrays)
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            data = prepared(tmp_path, path, broken="skip", valid_fraction=0, **BOX)
        assert "1 trajectories with numbers that are not finite" in caplog.text
        assert "a.npz:0" in data.facts()["left_out"]


def test_a_store_that_was_cut_is_used_up_to_there_when_broken_ones_are_skipped(tmp_path):
    with EpisodeWriter(tmp_path / "own") as writer:
        for _ in range(3):
            writer.add({"observations": np.zeros((4, 2), np.float32), "actions": np.zeros((4, 1), np.int64)})
    with open(tmp_path / "own/actions.bin", "r+b") as file:
        file.truncate(8 * 6)
    with pytest.raises(DataError, match="was cut short and holds 1 of 3 episodes"):
        prepared(tmp_path, tmp_path / "own")
    data = prepared(tmp_path, tmp_path / "own", broken="skip", valid_fraction=0)
    assert data.trajectories.steps == 4
    assert "2 trajectories behind the place where a store is cut" in data.facts()["left_out"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "actions are no whole numbers: set bins and action_range, or set actions: numbers"),
        ({"actions": "numbers", "best": 0.5, "fields": {"rewards": "nothing"}}, "has no array 'nothing'"),
        ({**BOX, "action_range": (0.0, 1.0)}, r"actions outside \[0, 1\]"),
    ],
)
def test_settings_that_do_not_fit_the_file_are_refused(tmp_path, settings, words):
    with pytest.raises(DataError, match=words):
        prepared(tmp_path, saved(tmp_path / "a.npz", flat()), **settings)


@pytest.mark.parametrize("settings", [{"bins": 4}, {"action_range": (1, 1)}, {"transitions": True, "context": 3}])
def test_settings_that_contradict_each_other_are_refused(settings):
    with pytest.raises(ValidationError, match=r"action_range|context"):
        TrajectoriesConfig(**settings)


def test_fields_name_what_is_known_only():
    assert set(get_args(ArrayName)) == set(NAMES)
    with pytest.raises(ValidationError, match="obs"):
        TrajectoriesConfig(fields={"obs": "positions"})


def test_cloning_counts_real_steps_and_real_choices_only():
    class Logits(torch.nn.Module):
        def forward(self, observations):
            return observations[..., None, :].expand(*observations.shape[:-1], 2, 3)

    generator = torch.Generator().manual_seed(0)
    batch = {"observations": torch.randn(2, 4, 3, generator=generator), "actions": torch.ones(2, 4, 2, dtype=torch.int64)}
    real = torch.tensor([[False, True, True, True], [True] * 4])
    choices = real[..., None] & torch.tensor([True, False])
    loss = Cloning()(Logits(), {**batch, "attention_mask": real, "action_mask": choices})
    kept = {"observations": batch["observations"][real], "actions": batch["actions"][real][:, :1]}

    class One(Logits):
        def forward(self, observations):
            return super().forward(observations)[..., :1, :]

    plain = Cloning()(One(), kept)
    assert loss.weight == plain.weight == 7.0
    assert torch.allclose(loss.total, plain.total)
    with pytest.raises(UsageError, match="the data needs"):
        Cloning(5)(Logits(), batch)


def test_recorded_episodes_are_windows_and_transitions_too(tmp_path):
    record = {"name": "record", "use": "control/record", "environment": {"id": "CartPole-v1", "count": 2}, "episodes": 4}
    clone = {
        "use": "core/fit",
        "model": {"use": "control/mlp", "width": 4},
        "objective": "control/cloning",
        "fit": {"steps": 2, "batch_size": 4, "learning_rate": 1e-3},
    }
    windows = {"use": "control/trajectories", "data": {"from": "record"}, "context": 3}
    run = run_recipe({"stages": [record, {**clone, "name": "clone", "data": windows}]}, tmp_path / "run")
    assert run.record("clone").status == "finished"
    data = prepared(tmp_path, tmp_path / "run/record/data", transitions=True, valid_fraction=0)
    batch = data.collate(data.examples("train"))
    assert int(batch["terminals"].sum()) == 4
    inside = ~batch["terminals"][:-1]
    assert torch.equal(batch["next_observations"][:-1][inside], batch["observations"][1:][inside])
    assert not torch.equal(batch["next_observations"][-1], batch["observations"][-1])


def test_without_the_library_the_extra_is_named(tmp_path, monkeypatch):
    path = tmp_path / "a.hdf5"
    path.write_bytes(b"")
    assert TrajectoriesConfig(path=str(path)).needs() == {"h5py": "omnitrain-control[hdf5]"}
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(EnvironmentFault, match=r"a\.hdf5 needs h5py: pip install 'omnitrain-control\[hdf5\]'"):
        prepared(tmp_path, path)


def test_a_users_file_trains_a_policy_that_plays(tmp_path):
    """Pendulum's actions are continuous: they are cut into bins, and control/rollouts plays the centres."""
    environment = make_environment("Pendulum-v1")
    rows = {name: [] for name in ("observations", "next_observations", "actions", "rewards", "truncations")}
    for seed in range(2):
        observation, _ = environment.reset(seed=seed)
        for step in range(30):
            action = np.array([2.0 * np.sin(step)], np.float32)
            following, reward, *_ = environment.step(action)
            values = (observation, following, action, reward, step == 29)
            for name, value in zip(rows, values, strict=True):
                rows[name].append(value)
            observation = following
    path = saved(tmp_path / "pendulum.npz", {name: np.array(values, np.float32) for name, values in rows.items()})
    own = {"path": str(path), "action_range": [-2, 2], "bins": 64, "context": 4}
    fit = {"steps": 3, "batch_size": 4, "learning_rate": 1e-3}
    recipe = {
        "stages": [
            {
                "name": "clone",
                "use": "core/fit",
                "data": {"use": "control/trajectories", **own},
                "model": {"use": "control/mlp", "width": 8},
                "objective": "control/cloning",
                "fit": fit,
            },
            {
                "name": "play",
                "use": "core/evaluate",
                "model": {"from": "clone"},
                "evaluators": [
                    {"use": "control/rollouts", "episodes": 1, "environment": {"id": "Pendulum-v1", "steps": 5, "count": 1}}
                ],
            },
        ]
    }
    run = run_recipe(recipe, tmp_path / "run")
    assert run.record("play").status == "finished"
