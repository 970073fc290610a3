"""Trees of state come back exactly as they were saved, without pickle."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitrain.engine.rng import (
    Streams,
    generator_state,
    isolated,
    rng_state,
    seed_everything,
    set_generator_state,
    set_rng_state,
)
from omnitrain.engine.state import map_tree, pack, unpack

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool, torch.uint8]


@st.composite
def tensors(draw):
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 100)))
    return (torch.rand(shape, generator=generator) * 200).to(draw(st.sampled_from(DTYPES)))


arrays = st.builds(
    lambda shape, dtype, seed: np.random.default_rng(seed).integers(0, 100, shape).astype(dtype),
    st.lists(st.integers(0, 3), max_size=3),
    st.sampled_from(["float32", "int8", "uint64", "bool", ">i4", "complex64"]),
    st.integers(0, 9),
)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**130), 2**130),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    tensors(),
    arrays,
)
keys = st.one_of(st.text(), st.integers(), st.tuples(st.integers(), st.text()))
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.lists(inner, max_size=3).map(tuple), st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=12,
)


def same(one, other):
    if isinstance(one, (torch.Tensor, np.ndarray)):
        assert type(one) is type(other)
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        assert bool((one == other).all())
        return
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            same(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            same(a, b)
    else:
        assert one == other


@given(tree=trees)
@settings(max_examples=200, deadline=None)
def test_any_tree_comes_back(tree):
    stored, rest = pack(tree)
    same(tree, unpack(stored, json.loads(json.dumps(rest))))


def test_not_a_number_and_infinity_come_back():
    stored, rest = pack([float("inf"), float("-inf"), float("nan")])
    high, low, none = unpack(stored, json.loads(json.dumps(rest)))
    assert (high, low) == (float("inf"), float("-inf"))
    assert none != none


def test_shared_memory_is_stored_once():
    weight = torch.randn(3, 3)
    stored, rest = pack({"a": weight, "b": {"tied": weight}, "part": weight[:2]})
    assert len(stored) == 2
    again = unpack(stored, rest)
    assert torch.equal(again["a"], again["b"]["tied"])
    assert torch.equal(again["part"], weight[:2])


@pytest.mark.parametrize("value", [object(), {1, 2}, np.array([object()]), lambda: None, 1j])
def test_what_needs_pickle_is_refused_by_its_path(value):
    with pytest.raises(TypeError, match=r"data\.odd"):
        pack({"data": {"odd": value}})


def draws():
    import random

    return random.random(), np.random.normal(), torch.rand(3).tolist()


def test_random_states_go_on_after_a_round_trip():
    seed_everything(5)
    draws()
    np.random.normal()  # leaves a second normal waiting inside numpy's generator
    stored, rest = pack(rng_state())
    expected = draws()
    seed_everything(6)
    set_rng_state(unpack(stored, json.loads(json.dumps(rest))))
    assert draws() == expected


def test_isolated_blocks_leave_the_generators_alone():
    seed_everything(5)
    expected = draws()
    seed_everything(5)
    with isolated(9):
        inside = draws()
    with isolated(9):
        assert draws() == inside
    assert draws() == expected

    def fails():
        with isolated():
            draws()
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    seed_everything(5)
    assert draws() == expected


def test_named_streams_go_on_and_differ():
    streams = Streams(lambda name: sum(name.encode()))
    first = streams["noise"].random(3).tolist()
    assert first != streams["order"].random(3).tolist()
    state = json.loads(json.dumps(streams.state_dict()))
    expected = streams["noise"].random(3).tolist()
    again = Streams(lambda name: 0)
    again.load_state_dict(state)
    assert again["noise"].random(3).tolist() == expected


@pytest.mark.parametrize("kind", [np.random.PCG64, np.random.Philox, np.random.MT19937])
def test_numpy_generator_goes_on_from_its_state_through_json(kind):
    generator = np.random.Generator(kind(3))
    generator.integers(0, 7, 5, dtype=np.uint32)
    packed, rest = pack(generator_state(generator))
    state = unpack(packed, json.loads(json.dumps(rest)))
    expected = generator.random(4).tolist(), generator.integers(0, 9, 3, dtype=np.uint32).tolist()
    other = np.random.Generator(kind(4))
    set_generator_state(other, state)
    assert (other.random(4).tolist(), other.integers(0, 9, 3, dtype=np.uint32).tolist()) == expected


def test_state_of_another_kind_of_generator_is_refused():
    with pytest.raises(ValueError, match="state must be for a PCG64"):
        set_generator_state(np.random.default_rng(0), generator_state(np.random.Generator(np.random.Philox(0))))


def test_tree_keeps_its_shape_and_what_is_no_tensor():
    one = {"a": torch.ones(2), "b": (torch.zeros(1), None, "x"), "c": [3, torch.full((1,), 2.0)]}
    twice = map_tree(torch.add, one, one)
    assert twice["a"].tolist() == [2, 2]
    assert twice["b"][1:] == (None, "x")
    assert isinstance(twice["b"], tuple)
    assert twice["c"][0] == 3
    assert twice["c"][1].tolist() == [4]


def test_trees_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        map_tree(torch.add, [torch.ones(1), torch.ones(1)], [torch.ones(1)])
