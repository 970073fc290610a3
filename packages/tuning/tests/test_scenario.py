"""Tasks and their classes, by class order and sizes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitrain.errors import UsageError
from omnitrain_tuning.scenario import class_incremental, task_sizes, validation_split


@given(st.permutations(range(7)), st.integers(1, 7), st.integers(0, 7), st.lists(st.integers(0, 6), max_size=40))
def test_every_class_is_in_one_task_and_every_sample_in_at_most_one(order, increment, initial, labels):
    every = [*range(7), *labels]
    found = class_incremental(every, order, increment, initial, smaller_last=True)
    assert [c for task in found.tasks for c in task.classes] == list(order)
    new = found.new_labels(every)
    rows = np.concatenate([found.rows(new, t) for t in range(len(found.tasks))])
    assert sorted(rows.tolist()) == list(range(len(every)))
    assert all(order[n] == label for n, label in zip(new, every, strict=True))


def test_sizes_that_leave_a_rest_are_refused_unless_asked_for():
    with pytest.raises(UsageError, match=r"10 classes do not divide.*1 are left over.*smaller_last_task: true"):
        task_sizes(10, 3)
    assert task_sizes(10, 3, smaller_last=True) == [3, 3, 3, 1]
    assert task_sizes(10, 3, 4) == [4, 3, 3]


def test_validation_takes_the_first_shuffled_rows_of_each_class():
    labels = [0] * 10 + [1] * 5
    train, held = validation_split(labels, 0.2)
    random = np.random.RandomState(42)
    first, second = np.arange(10), np.arange(10, 15)
    random.shuffle(first)
    random.shuffle(second)
    assert held.tolist() == sorted([*first[:2].tolist(), *second[:1].tolist()])
    assert sorted([*train, *held]) == list(range(15))
