"""Streams of pre-training data."""

from itertools import islice

import numpy as np
import pytest
import torch
from helpers import VIEWS

from omnitrain.api import BatchPlan


@pytest.mark.parametrize("name", VIEWS)
def test_streams_go_on_where_they_stood(name, karate):
    stream = VIEWS[name](karate).batches("train", BatchPlan(4, 3))
    whole = list(islice(iter(stream), 4))
    again = VIEWS[name](karate).batches("train", BatchPlan(4, 3))
    next(iter(again))
    later = VIEWS[name](karate).batches("train", BatchPlan(4, 3))
    later.load_state_dict(again.state_dict())
    for wanted, found in zip(whole[1:], islice(iter(later), 3), strict=True):
        assert all(np.array_equal(np.asarray(wanted[k]), np.asarray(found[k])) for k in wanted)


@pytest.mark.parametrize("name", VIEWS)
def test_validation_ends_and_is_the_same_at_every_pass(name, karate):
    data = VIEWS[name](karate)
    first, again = (list(data.batches("valid", BatchPlan(4, 3, train=False))) for _ in range(2))
    assert len(first) == 4
    assert torch.equal(first[2]["degrees"], again[2]["degrees"])
