"""Quadratic programs on the simplex."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitrain_w2pgnn.paper.simplex import minimise, project, screen


@given(st.integers(1, 6), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_quadratic_programs_are_solved_exactly(count, seed):
    generator = np.random.default_rng(seed)
    factor = generator.normal(size=(count, count + 2))
    q, b = factor @ factor.T, generator.normal(size=count)
    point = minimise(q, b)
    assert point.min() >= 0
    assert point.sum() == pytest.approx(1)
    value = point @ q @ point - 2 * b @ point
    tries = project(generator.normal(size=(300, count)))
    others = np.einsum("ri,ij,rj->r", tries, q, tries) - 2 * tries @ b
    assert value <= others.min() + 1e-9
    near, values = screen(q, b[None], 400)
    assert values[0] >= value - 1e-9
    assert near.sum() == pytest.approx(1)
