"""Which examples share a row, and where their tokens go."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitrain_ul2.data.packing import Placement, assign_rows


@settings(max_examples=100, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 20), st.integers(1, 10)), max_size=30),
    rows=st.integers(1, 8),
)
def test_rows_are_never_over_full_and_used_without_gaps(sizes, rows):
    array = np.array(sizes, np.int64).reshape(-1, 2)
    row = assign_rows(array, (20, 10), rows)
    for number in range(rows):
        assert (array[row == number].sum(axis=0) <= (20, 10)).all()
    used = np.unique(row[row >= 0])
    assert used.tolist() == list(range(len(used)))
    # An example waits only when all rows are used.
    assert (row >= 0).all() or len(used) == rows
    # The first one never waits.
    assert not len(row) or row[0] == 0


def test_an_example_joins_what_it_complements():
    sizes = np.array([[4, 1], [1, 4], [4, 1], [1, 4]])
    row = assign_rows(sizes, (5, 5), 2)
    assert sorted(np.bincount(row).tolist()) == [2, 2]
    assert row[0] != row[2]


def test_fields_are_laid_behind_each_other():
    place = Placement(np.array([2, 1, 3]), np.array([1, 0, 1]), 2, 6)
    values = np.array([[5, 6, 0], [7, 0, 0], [8, 9, 10]])
    assert place.tokens(values, -1).tolist() == [[7, -1, -1, -1, -1, -1], [5, 6, 8, 9, 10, -1]]
    assert place.segments().tolist() == [[1, 0, 0, 0, 0, 0], [1, 1, 2, 2, 2, 0]]
    assert place.positions().tolist() == [[0] * 6, [0, 1, 0, 1, 2, 0]]
    assert place.each(np.array([3, 4, 5]), -1).tolist() == [[4, -1, -1, -1, -1, -1], [3, 3, 5, 5, 5, -1]]
