"""System messages: the four sets, uniform inside them, and wordings from a file."""

import json
from collections import Counter

import pytest

from omnitrain.errors import DataError
from omnitrain_orca.flan.records import digest_of
from omnitrain_orca.flan.systems import read_systems
from omnitrain_orca.paper.systems import is_multiple_choice, system_of, system_set


@pytest.mark.parametrize(
    ("collection", "has_options", "ids"),
    [
        ("cot", True, {6, 11, 16}),
        ("niv", False, {1, 2, 5, 7, 9, 12, 13, 14, 15}),
        ("t0", True, {1, 2, 3, 5, 7}),
        ("flan", True, {8, 10}),
        ("flan", False, {3, 4, 7}),
    ],
)
def test_ids_are_uniform_inside_their_set(collection, has_options, ids):
    count = 12_000
    digests = [digest_of(collection, "task", str(n), "") for n in range(count)]
    drawn = Counter(system_of(collection, has_options, digest, 9) for digest in digests)
    assert set(drawn) == set(system_set(collection, has_options)) == ids
    expected = count / len(ids)
    square = sum((found - expected) ** 2 / expected for found in drawn.values())
    # 99.99 % of chi-square with 8 degrees of freedom, above that of fewer.
    assert square < 31.9


@pytest.mark.parametrize(
    "text",
    [
        "Which one?\nOPTIONS:\n- yes\n- no",
        "What is it? (A) a ball (B) a cup",
        "Pick.\nA. one\nB. two",
        "What is it? Answer choices: yes, no",
        "Pick.\n(A) one\n(B) two",
    ],
)
def test_options_are_found(text):
    text = text.replace("? Answer choices", "?\nAnswer choices")
    assert is_multiple_choice(text)


@pytest.mark.parametrize(
    "text", ["Tell me about plan A. Or plan B.", "A: hello\nB: good day", "See (B) and (A).", "Options are good."]
)
def test_other_texts_have_none(text):
    assert not is_multiple_choice(text)


def test_wordings_are_ours_unless_a_file_says_otherwise(tmp_path):
    ours = read_systems()
    assert sorted(ours) == list(range(1, 17))
    assert ours[1] == ""
    assert len(set(ours.values())) == 16
    file = tmp_path / "systems.json"
    file.write_text(json.dumps({"16": "Help."}), "utf-8")
    assert read_systems(str(file)) == {**ours, 16: "Help."}


@pytest.mark.parametrize(
    ("content", "told"),
    [("[]", "by id"), ('{"17": "x"}', "'17' is no id"), ('{"2": 5}', "message 2 is int"), ("{", "systems.json")],
)
def test_a_file_that_is_none_is_refused_by_name(tmp_path, content, told):
    file = tmp_path / "systems.json"
    file.write_text(content, "utf-8")
    with pytest.raises(DataError, match=r"systems\.json") as caught:
        read_systems(str(file))
    assert told in str(caught.value)
