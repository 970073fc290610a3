"""The life of experts and heads over tasks, and exact resume."""

import shutil
from contextlib import ExitStack

import numpy as np
import pytest
import torch
from helpers import Pictures, images_for, settings, tasks_of, vit

from omnitrain.engine import Engine, scratch_run
from omnitrain.errors import DataError, NumericalError, Stopped
from omnitrain_lae.models.backbone import Backbone
from omnitrain_lae.models.learner import Learner
from omnitrain_lae.paper.calibration import calibrated_prefix
from omnitrain_lae.stages.learning import Learning
from omnitrain_lae.stages.training import Task, TaskTraining
from omnitrain_tuning.adapter import AdapterPet
from omnitrain_tuning.lora import LoraPet
from omnitrain_tuning.pool import PromptPoolPet

METHODS = {
    "adapter": lambda: AdapterPet(2, (0, 1)),
    "lora": lambda: LoraPet(2, (0, 1)),
    "prefix": lambda: calibrated_prefix(2, (0, 1)),
    "pool": lambda: PromptPoolPet(3, 1, 2, 0.5),
}


class Augmented:
    """The same pictures without a promise that an example never changes, so that nothing is cached."""

    def __init__(self):
        self.inner = Pictures()
        self.batch, self.fingerprint = self.inner.batch, self.inner.fingerprint
        self.splits, self.labels, self.examples = self.inner.splits, self.inner.labels, self.inner.examples

    def example(self, split, index, seed):
        return split, index, seed

    def collate(self, examples):
        batch = self.inner.gather(examples[0][0], np.array([index for _, index, _ in examples]))
        noise = [torch.full((1, 1, 8, 8), seed % 97 / 97 if split == "train" else 0.0) for split, _, seed in examples]
        return {**batch, "pixel_values": batch["pixel_values"] + torch.cat(noise)}


@pytest.fixture
def prepare():
    """A function that returns learning over three tasks of two classes, from fixed weights, in a run of its own."""
    with ExitStack() as stack:

        def made(config, method="adapter", source=None, ended=None, goes_on=None):
            data = tasks_of(source or Pictures())
            torch.manual_seed(11)
            pet = METHODS[method]() if config.tune == "pet" else None
            learner = Learner(Backbone(vit()), pet, tune_backbone=config.tune == "backbone").double()
            learner.measure({"pixel_values": images_for("vit", 1)})
            run = stack.enter_context(scratch_run())
            if goes_on is not None:
                shutil.copytree(goes_on.stage.directory / "checkpoints", run.directory / "checkpoints")
            return Learning(config, learner, data, data.task_sizes(), run, Engine(device="cpu"), ended)

        yield made


@pytest.fixture
def stop_at(monkeypatch):
    """A function that lets a run be asked to stop behind so many steps."""

    def arranged(learning, steps):
        def step(training, original=TaskTraining.one_step):
            original(training)
            if learning.losses.total == steps:
                learning.stage.ask_to_stop()

        monkeypatch.setattr(TaskTraining, "one_step", step)
        with pytest.raises(Stopped):
            learning.run()
        monkeypatch.undo()
        return learning

    return arranged


def snapshot(learning):
    state = learning.learner.state(backbone=True)
    flat = {f"{part}.{k}": v.clone() for part in ("heads", "backbone") for k, v in state[part].items()}
    flat |= {f"{name}.{k}": v.clone() for name, own in state["experts"].items() for k, v in own.items()}
    return flat


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_the_average_moves_after_every_step_of_later_tasks_frozen_epochs_included(prepare):
    learning = prepare(settings())
    moved, average = [], learning.learner.accumulate
    learning.learner.accumulate = lambda *given: (moved.append(learning.losses.total), average(*given))
    learning.run()
    assert learning.losses.total == 3 * 3 * 3  # tasks, epochs, steps of 24 images in batches of 8
    assert moved == list(range(9, 27))


def test_decay_0_makes_the_offline_expert_the_online_one(prepare):
    learning = prepare(settings(accumulation={"decay": 0.0}))
    learning.run()
    online, offline = (learning.learner.expert_state(name) for name in ("online", "offline"))
    assert equal(online, offline)
    assert "0.scale" in offline


def test_decay_1_keeps_the_copy_from_the_end_of_the_first_task(prepare):
    kept = []
    learning = prepare(settings(accumulation={"decay": 1.0}), ended=lambda r: kept.append(snapshot(learning)))
    learning.run()
    first = {k: v for k, v in kept[0].items() if k.startswith("online.")}
    assert all(torch.equal(v, kept[-1][k.replace("online", "offline")]) for k, v in first.items())
    assert not all(torch.equal(v, kept[-1][k]) for k, v in first.items())


def test_scales_and_biases_are_averaged_too(prepare):
    learning = prepare(settings())
    learning.run()
    online, offline = (learning.learner.expert_state(name) for name in ("online", "offline"))
    assert all(not torch.equal(online[name], offline[name]) for name in ("0.scale", "0.down.bias", "1.up.weight"))


def test_freezing_for_all_epochs_leaves_the_online_expert_bitwise_after_the_first_task(prepare):
    kept = []
    learning = prepare(settings(freeze_epochs=5), ended=lambda r: kept.append(snapshot(learning)))
    before = snapshot(learning)
    learning.run()
    online = [{k: v for k, v in s.items() if k.startswith("online.")} for s in (before, *kept)]
    assert not equal(online[0], online[1])  # the first task never freezes
    assert equal(online[1], online[2])
    assert equal(online[2], online[3])


def test_without_freeze_epochs_the_online_expert_moves_from_the_first_step(prepare):
    learning = prepare(settings(freeze_epochs=0, epochs=1), source=Pictures(train=4))
    learning.run()
    assert learning.learner.experts["online"].training is False
    frozen = prepare(settings(freeze_epochs=1, epochs=1), source=Pictures(train=4))
    frozen.run()
    assert not equal(learning.learner.expert_state("online"), frozen.learner.expert_state("online"))


def test_frozen_epochs_build_no_graph_below_the_head(prepare, monkeypatch):
    learning = prepare(settings(cache_features=False))
    seen = {}

    def watched(training, batch, original=TaskTraining.features):
        found = original(training, batch)
        seen[training.task.number, training.step // 3] = found.grad_fn is None
        return found

    monkeypatch.setattr(TaskTraining, "features", watched)
    learning.run()
    assert seen == {(task, epoch): task > 0 and epoch == 0 for task in range(3) for epoch in range(3)}


def test_cached_features_give_the_same_training(prepare):
    found = []
    for cache in (True, False):
        learning = prepare(settings(cache_features=cache))
        learning.run()
        found.append(snapshot(learning))
    assert all(torch.allclose(found[0][k], found[1][k], rtol=0, atol=1e-12) for k in found[0])


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_old_heads_stay_bitwise_also_with_weight_decay(prepare, decay):
    kept = []
    config = settings(optimiser={"name": "adam", "weight_decay": decay})
    learning = prepare(config, ended=lambda r: kept.append(snapshot(learning)))
    learning.run()
    for number in (0, 1):
        names = [f"heads.{number}.weight", f"heads.{number}.bias"]
        assert all(torch.equal(kept[number][name], kept[2][name]) for name in names)
        assert kept[2][names[0]].abs().sum() > 0


def test_no_step_reads_images_of_another_task(prepare):
    source = Pictures()
    labels = source.labels("train")

    def allow(result):
        task = 0 if result is None else result.after + 1
        source.allowed["train"] = {row for row, label in enumerate(labels.tolist()) if label // 2 == task}

    allow(None)
    learning = prepare(settings(ewc={"samples": 4}), source=source, ended=allow)
    learning.run()
    with pytest.raises(AssertionError, match="another task"):
        learning.data.gather("train/1", torch.arange(3).numpy())


def test_parameters_below_the_heads_do_not_grow_with_the_tasks(prepare):
    sizes = []
    for classes in (6, 12):
        learning = prepare(settings(epochs=1), source=Pictures(classes=classes))
        learning.run()
        sizes.append(sum(p.numel() for p in learning.learner.experts.parameters()))
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize(
    ("method", "steps", "changes"),
    [
        ("adapter", 19, {}),  # after the first step of the third task, frozen
        ("adapter", 21, {}),  # the last frozen step
        ("adapter", 25, {"checkpoint_every": 2}),
        ("lora", 24, {"accumulation": {"decay": 0.8, "experts": 2}}),
        ("prefix", 22, {"cache_features": False}),
        ("pool", 14, {"accumulation": None, "freeze_epochs": 0}),
        ("adapter", 23, {"tune": "backbone", "loss": "seen", "ewc": {"samples": 3}}),
        ("adapter", 20, {"tune": "heads"}),
        ("adapter", 3, {"training": "joint"}),
        ("adapter", 20, {"schedule": "cosine", "batch_size": 7, "log_every": 4}),
    ],
)
def test_a_run_stopped_anywhere_and_resumed_ends_bitwise_the_same(prepare, stop_at, method, steps, changes):
    config = settings(**changes)
    whole = prepare(config, method)
    expected = whole.run()
    stopped = stop_at(prepare(config, method), steps)
    resumed = prepare(config, method, goes_on=stopped)
    results = resumed.run()
    assert equal(snapshot(whole), snapshot(resumed))
    assert stopped.stage.lines() + resumed.stage.lines() == whole.stage.lines()
    assert [r.accuracies() for r in results] == [r.accuracies() for r in expected]
    assert [event["step"] for event in resumed.stage.events("resumed")] == [steps + stopped.number]


def test_a_run_stopped_behind_the_last_step_of_a_task_goes_on_with_its_answers(prepare, stop_at):
    whole = prepare(settings())
    whole.run()
    stopped = stop_at(prepare(settings()), 18)  # the last step of the second task
    assert (stopped.number, stopped.training.step) == (1, 9)
    resumed = prepare(settings(), goes_on=stopped)
    resumed.run()
    assert equal(snapshot(whole), snapshot(resumed))
    assert stopped.stage.lines() + resumed.stage.lines() == whole.stage.lines()


def test_resuming_does_not_make_the_offline_expert_from_the_online_one(prepare, stop_at):
    stopped = stop_at(prepare(settings()), 14)
    resumed = prepare(settings(), goes_on=stopped)
    resumed.journal.resume()
    online, offline = (resumed.learner.expert_state(name) for name in ("online", "offline"))
    assert equal(offline, stopped.learner.expert_state("offline"))
    assert not equal(offline, online)


def test_random_examples_are_not_cached_and_resume_exactly(prepare, stop_at):
    whole = prepare(settings(), source=Augmented())
    whole.run()
    stopped = stop_at(prepare(settings(), source=Augmented()), 20)
    resumed = prepare(settings(), source=Augmented(), goes_on=stopped)
    resumed.run()
    assert equal(snapshot(whole), snapshot(resumed))


def test_nearest_means_answer_by_the_nearest_class_mean(prepare):
    config = settings(tune="heads", classifier="means")
    learning = prepare(config)
    results = learning.run()
    data = learning.data
    features, labels = [], []
    with torch.no_grad():
        for split in ("train", "test"):
            batch = data.gather(split, torch.arange(len(data.examples(split))).numpy())
            features.append(learning.learner.features(batch))
            labels.append(batch["labels"])
    means = torch.stack([features[0][labels[0] == c].mean(dim=0) for c in range(6)])
    nearest = torch.cdist(features[1], means).argmin(dim=1)
    assert results[-1].accuracies() == [
        float((nearest == labels[1])[labels[1] // 2 == task].double().mean()) for task in range(3)
    ]


def test_joint_training_answers_once_about_all_classes(prepare):
    results = prepare(settings(training="joint")).run()
    assert [r.after for r in results] == [2]
    assert results[0].counts() == [8, 8, 8]


def test_consolidation_holds_the_backbone(prepare):
    moved = []
    for strength in (0.0, 1e9):
        config = settings(tune="backbone", ewc={"strength": strength, "samples": 4}, accumulation=None)
        kept = []
        learning = prepare(config, ended=lambda r, k=kept: k.append(snapshot(learning)))  # noqa: B023
        learning.run()
        name = "backbone.layers.0.mlp.fc1.weight"
        moved.append(float((kept[-1][name] - kept[0][name]).abs().mean()))
    assert moved[1] < moved[0]


def test_a_task_smaller_than_one_batch_is_named(prepare):
    learning = prepare(settings(batch_size=50))
    with pytest.raises(DataError, match=r"train/1 has 24 training examples, fewer than batch_size 50.*drop_last: false"):
        learning.run()
    kept = prepare(settings(batch_size=50, drop_last=False, epochs=1))
    kept.run()
    assert kept.losses.total == 3


def test_many_bad_steps_end_the_run_and_name_their_examples(prepare):
    source = Pictures()
    source.data["train"][0][:] = float("nan")
    learning = prepare(settings(skip_nonfinite=2), source=source)
    before = snapshot(learning)
    with pytest.raises(NumericalError, match="3 updates in a row, up to step 3,"):
        learning.run()
    after = snapshot(learning)
    assert all(torch.equal(before[k], after[k]) for k in before)
    skipped = learning.stage.events("skipped update")
    assert [event["step"] for event in skipped] == [1, 2, 3]
    assert sorted(row for event in skipped for row in event["examples"]) == list(range(24))


def test_a_learning_rate_that_diverges_ends_the_run_without_an_answer(prepare):
    learning = prepare(settings(learning_rate=1e300, epochs=20))
    with pytest.raises(NumericalError, match="11 updates in a row"):
        learning.run()
    assert learning.results == []


def test_the_decay_follows_its_rule(prepare):
    by_tasks = prepare(settings(accumulation={"horizon_tasks": 4}))
    by_tasks.run()
    told = {"decay": 1 - 1 / (9 * 4), "rule": "1 - 1 / (steps of a task x 4)"}
    assert by_tasks.stage.events("accumulation") == [{"stage": "scratch", "event": "accumulation", **told}]
    by_batch = settings(accumulation={"decay": 0.9999, "reference_batch": 24}, batch_size=8)
    task = Task(by_batch, by_tasks.data, 1, [2, 2, 2])
    assert task.decay_and_rule() == (pytest.approx(0.9999 ** (1 / 3), rel=1e-12), "0.9999 ^ (8 / 24)")


def test_the_learning_rate_is_that_of_the_paper_at_24_images(prepare):
    config = settings(learning_rate=None, base_learning_rate=0.03, batch_size=24, epochs=1)
    learning = prepare(config, ended=lambda result: rates.append(learning.training.optimiser.param_groups[0]["lr"]))
    rates = []
    learning.run()
    assert rates == [0.0028125] * 3
