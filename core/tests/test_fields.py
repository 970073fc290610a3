"""What batches carry is compared with what objectives read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitrain.api.fields import misfits, parse_field


def test_fields_are_parsed():
    spec = parse_field("int64[batch, length]")
    assert (spec.dtype, spec.dims, spec.optional) == ("int64", ("batch", "length"), False)
    assert parse_field("float32[]").dims == ()
    assert parse_field("object").dims is None
    assert parse_field("float[batch]?").optional


@pytest.mark.parametrize("text", ["", "int64[", "int64]", "[batch]", "int64[batch]!", "int 64", "int64[batch]??"])
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="is not a field"):
        parse_field(text)


dims = st.lists(st.sampled_from(["batch", "length", "4"]), max_size=3).map(", ".join)
specs = st.builds(lambda dtype, inner: f"{dtype}[{inner}]", st.sampled_from(["int64", "float32", "bool"]), dims)


@given(fields=st.dictionaries(st.sampled_from("abcd"), specs))
def test_every_batch_fits_itself_and_everything_fits_no_needs(fields):
    assert misfits(fields, fields) == []
    assert misfits(fields, {}) == []
    assert len(misfits({}, fields)) == len(fields)


@pytest.mark.parametrize(
    ("offered", "needed", "count"),
    [
        ({"x": "int64[batch, length]"}, {"x": "int[batch, length]"}, 0),
        ({"x": "int64[batch, length]"}, {"x": "int32[batch, length]"}, 1),
        ({"x": "float32[batch]"}, {"x": "int[batch]"}, 1),
        ({"x": "float32[batch, length]"}, {"x": "float[batch]"}, 1),
        ({"x": "float32"}, {"x": "float[batch]"}, 0),
        ({"x": "bfloat16[batch]"}, {"x": "float[batch]"}, 0),
        ({}, {"x": "float[batch]?"}, 0),
        ({"x": "int64[batch]"}, {"x": "float[batch]?"}, 1),
        ({"y": "int64[batch]"}, {"x": "float[batch]", "z": "int[batch]"}, 2),
    ],
)
def test_misfits_are_named(offered, needed, count):
    problems = misfits(offered, needed)
    assert len(problems) == count
    assert all("'x'" in problem or "'z'" in problem for problem in problems)


def test_data_without_a_field_that_the_objective_reads_is_refused_before_training(train):
    outcome = train("run", rows={"extra_field": False})
    assert outcome.code == 2
    assert "field 'weight' (float[batch]) is missing" in outcome.error["text"]
    assert outcome.seen == []
