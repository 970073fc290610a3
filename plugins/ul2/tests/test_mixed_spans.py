"""Runs of mixed batches in flat arrays: the law and the bounds."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitrain_ul2.paper.corruption import denoise_batch, plan_batches
from omnitrain_ul2.paper.denoisers import UL2_DENOISERS
from omnitrain_ul2.paper.mixed_spans import draw_runs
from omnitrain_ul2.paper.vocabulary import Vocabulary


@pytest.mark.parametrize(("items", "parts"), [(7, 3), (7, 6), (6, 2)])
def test_every_composition_is_equally_likely_in_a_mixed_batch(items, parts):
    draws = 20_000
    sizes, counts = np.full(draws + 3, items), np.full(draws + 3, parts)
    sizes[[5, 9, -1]], counts[[5, 9, -1]] = (40, 0, 20), (9, 0, 1)
    runs = draw_runs(sizes, counts, np.random.default_rng(3))
    rows = np.split(runs, np.cumsum(counts)[:-1])
    assert all(row.sum() == size for row, size in zip(rows, sizes, strict=True))
    assert (runs > 0).all()
    found = {}
    for number, row in enumerate(rows):
        if number not in (5, 9, draws + 2):
            key = tuple(np.cumsum(row)[:-1].tolist())
            found[key] = found.get(key, 0) + 1
    expected = set(combinations(range(1, items), parts - 1))
    assert set(found) == expected
    share = draws / len(expected)
    # Chi-square at p = 0.001 with 14, 5 and 4 degrees of freedom.
    assert sum((n - share) ** 2 / share for n in found.values()) < {15: 36.1, 6: 20.5, 5: 18.5}[len(expected)]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_runs_add_up_and_none_is_empty(data):
    items = np.array(data.draw(st.lists(st.integers(1, 60), min_size=1, max_size=12)))
    parts = np.array([data.draw(st.integers(1, n)) for n in items.tolist()])
    runs = draw_runs(items, parts, np.random.default_rng(data.draw(st.integers(0, 99))))
    assert len(runs) == parts.sum()
    assert runs.min() >= 1
    assert np.add.reduceat(runs, np.cumsum(parts) - parts).tolist() == items.tolist()


@pytest.mark.parametrize(("length", "expected"), [(190, 29), (350, 53), (390, 59)])
def test_mixed_batches_have_the_float32_noise_counts(length, expected):
    plan = plan_batches(UL2_DENOISERS, Vocabulary(32127, 200, ordinary_size=31000))
    index = np.array([0, 6, 0, 2])
    tokens = np.full((4, 512), 9, np.int32)
    batch = denoise_batch(tokens, index, plan, np.random.default_rng(0), np.array([length, 100, length, 300]))
    noise = (batch.targets == 9).sum(axis=1)
    assert noise[0] == noise[2] == expected
    assert noise[3] == 150
