"""The life of experts and heads over tasks, and exact resume."""

import numpy as np
import pytest
import torch
from helpers import Pictures, StoppingRun, images_for, settings, tasks_of, vit

from omnitrain.engine import Engine
from omnitrain.errors import DataError, NumericalError, Stopped
from omnitrain_lae.models.backbone import Backbone
from omnitrain_lae.models.learner import Learner
from omnitrain_lae.pets.adapter import AdapterPet
from omnitrain_lae.pets.lora import LoraPet
from omnitrain_lae.pets.pool import PromptPoolPet
from omnitrain_lae.pets.prefix import PrefixPet
from omnitrain_lae.stages.learning import Learning

METHODS = {
    "adapter": lambda: AdapterPet(2, (0, 1)),
    "lora": lambda: LoraPet(2, (0, 1)),
    "prefix": lambda: PrefixPet(2, (0, 1)),
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


def prepare(folder, config, method="adapter", source=None, stop_at=None, ended=None):
    """Return learning over three tasks of two classes, from fixed weights."""
    data = tasks_of(source or Pictures())
    torch.manual_seed(11)
    pet = METHODS[method]() if config.tune == "pet" else None
    learner = Learner(Backbone(vit()), pet, tune_backbone=config.tune == "backbone").double()
    learner.measure({"pixel_values": images_for("vit", 1)})
    run = StoppingRun(folder, stop_at)
    return Learning(config, learner, data, data.task_sizes(), run, Engine(device="cpu"), ended)


def snapshot(learning):
    state = learning.learner.state(backbone=True)
    flat = {f"{part}.{k}": v.clone() for part in ("heads", "backbone") for k, v in state[part].items()}
    flat |= {f"{name}.{k}": v.clone() for name, own in state["experts"].items() for k, v in own.items()}
    return flat


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_the_average_moves_after_every_step_of_later_tasks_frozen_epochs_included(tmp_path):
    learning = prepare(tmp_path, settings())
    learning.run()
    assert learning.total == learning.updates == 3 * 3 * 3  # tasks, epochs, steps of 24 images in batches of 8
    assert learning.averaged == 2 * 3 * 3


def test_decay_0_makes_the_offline_expert_the_online_one(tmp_path):
    learning = prepare(tmp_path, settings(accumulation={"decay": 0.0}))
    learning.run()
    online, offline = (learning.learner.expert_state(name) for name in ("online", "offline"))
    assert equal(online, offline)
    assert "0.scale" in offline


def test_decay_1_keeps_the_copy_from_the_end_of_the_first_task(tmp_path):
    kept = []
    learning = prepare(tmp_path, settings(accumulation={"decay": 1.0}), ended=lambda r: kept.append(snapshot(learning)))
    learning.run()
    first = {k: v for k, v in kept[0].items() if k.startswith("online.")}
    assert all(torch.equal(v, kept[-1][k.replace("online", "offline")]) for k, v in first.items())
    assert not all(torch.equal(v, kept[-1][k]) for k, v in first.items())


def test_scales_and_biases_are_averaged_too(tmp_path):
    learning = prepare(tmp_path, settings())
    learning.run()
    online, offline = (learning.learner.expert_state(name) for name in ("online", "offline"))
    assert all(not torch.equal(online[name], offline[name]) for name in ("0.scale", "0.down.bias", "1.up.weight"))


def test_freezing_for_all_epochs_leaves_the_online_expert_bitwise_after_the_first_task(tmp_path):
    kept = []
    learning = prepare(tmp_path, settings(freeze_epochs=5), ended=lambda r: kept.append(snapshot(learning)))
    before = snapshot(learning)
    learning.run()
    online = [{k: v for k, v in s.items() if k.startswith("online.")} for s in (before, *kept)]
    assert not equal(online[0], online[1])  # the first task never freezes
    assert equal(online[1], online[2])
    assert equal(online[2], online[3])


def test_without_freeze_epochs_the_online_expert_moves_from_the_first_step(tmp_path):
    learning = prepare(tmp_path, settings(freeze_epochs=0, epochs=1), source=Pictures(train=4))
    learning.run()
    assert learning.learner.experts["online"].training is False
    frozen = prepare(tmp_path / "b", settings(freeze_epochs=1, epochs=1), source=Pictures(train=4))
    frozen.run()
    assert not equal(learning.learner.expert_state("online"), frozen.learner.expert_state("online"))


def test_frozen_epochs_build_no_graph_below_the_head(tmp_path):
    learning = prepare(tmp_path, settings(cache_features=False))
    seen = []
    original = Learning._features

    def watched(self, batch):
        found = original(self, batch)
        seen.append((self.task, self.step // 3, found.grad_fn is None))
        return found

    learning._features = watched.__get__(learning)
    learning.run()
    assert {(task, epoch): free for task, epoch, free in seen} == {
        (task, epoch): task > 0 and epoch == 0 for task in range(3) for epoch in range(3)
    }


def test_cached_features_give_the_same_training(tmp_path):
    found = []
    for cache in (True, False):
        learning = prepare(tmp_path / str(cache), settings(cache_features=cache))
        learning.run()
        found.append(snapshot(learning))
    assert all(torch.allclose(found[0][k], found[1][k], rtol=0, atol=1e-12) for k in found[0])


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_old_heads_stay_bitwise_also_with_weight_decay(tmp_path, decay):
    kept = []
    config = settings(optimiser={"name": "adam", "weight_decay": decay})
    learning = prepare(tmp_path, config, ended=lambda r: kept.append(snapshot(learning)))
    learning.run()
    for number in (0, 1):
        names = [f"heads.{number}.weight", f"heads.{number}.bias"]
        assert all(torch.equal(kept[number][name], kept[2][name]) for name in names)
        assert kept[2][names[0]].abs().sum() > 0


def test_no_step_reads_images_of_another_task(tmp_path):
    source = Pictures()
    labels = source.labels("train")

    def allow(result):
        task = 0 if result is None else result.after + 1
        source.allowed["train"] = {row for row, label in enumerate(labels.tolist()) if label // 2 == task}

    allow(None)
    learning = prepare(tmp_path, settings(ewc={"samples": 4}), source=source, ended=allow)
    learning.run()
    with pytest.raises(AssertionError, match="another task"):
        learning.data.gather("train/1", torch.arange(3).numpy())


def test_parameters_below_the_heads_do_not_grow_with_the_tasks(tmp_path):
    sizes = []
    for classes in (6, 12):
        learning = prepare(tmp_path / str(classes), settings(epochs=1), source=Pictures(classes=classes))
        learning.run()
        sizes.append(sum(p.numel() for p in learning.learner.experts.parameters()))
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize(
    ("method", "stop_at", "changes"),
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
def test_a_run_stopped_anywhere_and_resumed_ends_bitwise_the_same(tmp_path, method, stop_at, changes):
    config = settings(**changes)
    whole = prepare(tmp_path / "whole", config, method)
    expected = whole.run()
    stopped = prepare(tmp_path / "cut", config, method, stop_at=stop_at)
    with pytest.raises(Stopped):
        stopped.run()
    resumed = prepare(tmp_path / "cut", config, method)
    resumed.run_.lines = stopped.run_.lines
    results = resumed.run()
    assert equal(snapshot(whole), snapshot(resumed))
    assert resumed.run_.lines == whole.run_.lines
    assert [r.accuracies() for r in results] == [r.accuracies() for r in expected]
    assert ("resumed", {"task": stopped.task + 1, "step": stopped.step}) in resumed.run_.events


def test_resuming_does_not_make_the_offline_expert_from_the_online_one(tmp_path):
    stopped = prepare(tmp_path, settings(), stop_at=14)
    with pytest.raises(Stopped):
        stopped.run()
    resumed = prepare(tmp_path, settings())
    resumed._resume()
    online, offline = (resumed.learner.expert_state(name) for name in ("online", "offline"))
    assert equal(offline, stopped.learner.expert_state("offline"))
    assert not equal(offline, online)


def test_random_examples_are_not_cached_and_resume_exactly(tmp_path):
    whole = prepare(tmp_path / "whole", settings(), source=Augmented())
    whole.run()
    stopped = prepare(tmp_path / "cut", settings(), source=Augmented(), stop_at=20)
    with pytest.raises(Stopped):
        stopped.run()
    resumed = prepare(tmp_path / "cut", settings(), source=Augmented())
    resumed.run()
    assert equal(snapshot(whole), snapshot(resumed))


def test_nearest_means_answer_by_the_nearest_class_mean(tmp_path):
    config = settings(tune="heads", classifier="means")
    learning = prepare(tmp_path, config)
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


def test_joint_training_answers_once_about_all_classes(tmp_path):
    results = prepare(tmp_path, settings(training="joint")).run()
    assert [r.after for r in results] == [2]
    assert results[0].counts() == [8, 8, 8]


def test_consolidation_holds_the_backbone(tmp_path):
    moved = []
    for strength in (0.0, 1e9):
        config = settings(tune="backbone", ewc={"strength": strength, "samples": 4}, accumulation=None)
        kept = []
        learning = prepare(tmp_path / str(strength), config, ended=lambda r, k=kept: k.append(snapshot(learning)))  # noqa: B023
        learning.run()
        name = "backbone.layers.0.mlp.fc1.weight"
        moved.append(float((kept[-1][name] - kept[0][name]).abs().mean()))
    assert moved[1] < moved[0]


def test_a_task_smaller_than_one_batch_is_named(tmp_path):
    learning = prepare(tmp_path, settings(batch_size=50))
    with pytest.raises(DataError, match=r"train/1 has 24 training examples, fewer than batch_size 50.*drop_last: false"):
        learning.run()
    kept = prepare(tmp_path / "b", settings(batch_size=50, drop_last=False, epochs=1))
    kept.run()
    assert kept.total == 3


def test_many_bad_steps_end_the_run(tmp_path):
    source = Pictures()
    source.data["train"][0][:] = float("nan")
    learning = prepare(tmp_path, settings(skip_nonfinite=2), source=source)
    before = snapshot(learning)
    with pytest.raises(NumericalError, match="3 steps in a row, up to step 3 in task 1"):
        learning.run()
    after = snapshot(learning)
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_the_decay_follows_its_rule(tmp_path):
    by_tasks = prepare(tmp_path / "a", settings(accumulation={"horizon_tasks": 4}))
    by_tasks.run()
    assert by_tasks.decay == 1 - 1 / (9 * 4)
    assert ("accumulation", {"decay": by_tasks.decay, "rule": "1 - 1 / (steps of a task x 4)"}) in by_tasks.run_.events
    by_batch = prepare(tmp_path / "b", settings(accumulation={"decay": 0.9999, "reference_batch": 24}, batch_size=8))
    assert by_batch._decay_and_rule() == (pytest.approx(0.9999 ** (1 / 3), rel=1e-12), "0.9999 ^ (8 / 24)")


def test_the_learning_rate_is_that_of_the_paper_at_24_images(tmp_path):
    learning = prepare(tmp_path, settings(learning_rate=None, base_learning_rate=0.03, batch_size=24))
    assert learning.rate == 0.0028125
