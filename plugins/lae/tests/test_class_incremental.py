"""Data as tasks: splits, labels and class orders."""

import json
from typing import ClassVar

import numpy as np
import pytest
from helpers import Pictures, image_config, tasks_of

from omnitrain.errors import DataError, UsageError
from omnitrain_lae.data.class_incremental import shipped_order, write_scenario
from omnitrain_lae.data.images import build as build_images


def test_a_class_in_two_tasks_is_named_with_its_place():
    with pytest.raises(UsageError, match=r"order\[3\]: class 1 occurs twice, so it would belong to two tasks"):
        _ = tasks_of(Pictures(), order=[0, 1, 2, 1, 4, 5]).scenario
    with pytest.raises(UsageError, match="class 9 is not in the data, whose labels are 0 to 5"):
        _ = tasks_of(Pictures(), order=[0, 1, 2, 3, 4, 9]).scenario
    with pytest.raises(UsageError, match="class 5 is missing"):
        _ = tasks_of(Pictures(), order=[0, 1, 2, 3, 4]).scenario


def test_an_empty_task_is_named():
    source = Pictures()
    pixels, labels = source.data["test"]
    source.data["test"] = (pixels[labels < 4], labels[labels < 4])
    with pytest.raises(DataError, match=r"Task 3 is empty: split 'test' has no sample of its classes 4, 5"):
        _ = tasks_of(source).scenario


def test_the_shipped_orders_are_those_of_the_official_runs():
    assert shipped_order("cifar100_order1") == list(range(100))
    assert sorted(shipped_order("imagenet-r_order2")) == list(range(200))
    assert shipped_order("imagenet-r_order2")[:4] == [131, 181, 22, 172]
    assert len(shipped_order("domainnet_order3")) == 345
    with pytest.raises(UsageError, match=r"cifar100_orderX.*Did you mean 'cifar100_order"):
        shipped_order("cifar100_orderX")


def test_tasks_have_splits_of_their_own_and_new_labels():
    data = tasks_of(Pictures(), order=[5, 0, 3, 2, 1, 4])
    assert data.splits()[:4] == ["train", "test", "train/1", "test/1"]
    batch = data.gather("test/2", np.arange(8))
    assert set(batch["labels"].tolist()) == {2, 3}
    assert data.class_names()[2] == "3"
    assert len(data.examples("train/3")) == 24
    with pytest.raises(DataError, match="no split 'train/4'"):
        data.examples("train/4")


def test_a_written_order_is_read_again(tmp_path):
    drawn = tasks_of(Pictures(), order="random", tasks=2)
    write_scenario(drawn, tmp_path)
    again = tasks_of(Pictures(), path=str(tmp_path), tasks=2)
    assert again.scenario.order == drawn.scenario.order
    assert again.fingerprint == drawn.fingerprint
    assert json.loads((tmp_path / "scenario.json").read_text())["tasks"][0]["labels"] == [0, 1]
    with pytest.raises(UsageError, match="4 tasks were asked for, but 6 classes give 3"):
        _ = tasks_of(Pictures(), tasks=4).scenario


def test_labels_that_are_sequences_become_classes():
    class Texts:
        batch: ClassVar = {
            "input_ids": "int64[batch, input_length]",
            "decoder_input_ids": "int64[batch, target_length]",
            "labels": "int64[batch, target_length]",
        }
        fingerprint = "f" * 16

        def splits(self):
            return ["train", "test"]

        def examples(self, split):
            return [(i, [7, 8 + i % 2, 1]) for i in range(8)]

        def collate(self, examples):
            import torch

            labels = torch.tensor([[*target, 0] for _, target in examples])
            return {"input_ids": torch.tensor([[i] for i, _ in examples]), "decoder_input_ids": labels, "labels": labels}

    data = tasks_of(Texts(), per_task=1)
    assert data.task_sizes() == [1, 1]
    assert data.class_names() == ["7 8 1", "7 9 1"]
    batch = data.collate([data.examples("train/2")[i] for i in range(2)])
    assert set(batch) == {"input_ids", "labels"}
    assert batch["input_ids"].tolist() == [[1], [3]]
    assert batch["labels"].tolist() == [1, 1]


def test_random_images_keep_the_draw_of_the_source():
    source = build_images(image_config(layout="digits", shift=1), None)
    data = tasks_of(source)
    first, second = (data.example("train/2", 3, seed) for seed in (1, 1))
    other = data.example("train/2", 3, 4)
    assert (first[0]["pixels"] == second[0]["pixels"]).all()
    assert not (first[0]["pixels"] == other[0]["pixels"]).all()
    assert first[1] in (2, 3)
