"""Files of dialogues, sound and malformed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitrain.errors import DataError
from omnitrain_language.dialogues.records import read_dialogues


def write(path, *records):
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in records) + "\n", "utf-8")
    return str(path)


def test_dialogue_files_hold_messages_or_prompts(tmp_path):
    talk = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
    path = write(tmp_path / "a.jsonl", {"messages": talk}, {"prompt": "Why?", "reference": "So."}, {"prompt": "Who?"})
    with pytest.raises(DataError, match=r"a\.jsonl:3: no reply"):
        list(read_dialogues(path, refuse=True))
    found = list(read_dialogues(path, refuse=False))
    assert [(r.prompt, r.reply) for r in found] == [(talk[:1], "Hello."), ("Why?", "So.")]
    assert [r.reply for r in read_dialogues(path, refuse=True, needs_reply=False)] == ["Hello.", "So.", ""]


def test_contents_of_text_parts_are_one_text(tmp_path):
    parts = [{"type": "text", "text": "Hello"}, {"type": "text", "text": " you."}]
    talk = [{"role": "user", "content": parts[:1]}, {"role": "assistant", "content": parts}]
    (found,) = read_dialogues(write(tmp_path / "a.jsonl", {"messages": talk}), refuse=True)
    assert (found.prompt, found.reply) == ([{"role": "user", "content": "Hello"}], "Hello you.")


@pytest.mark.parametrize(
    ("record", "fault"),
    [
        ("{", "not JSON"),
        ("[1]", "record is list"),
        ({"messages": []}, "no list"),
        ({"messages": [{"content": "x"}]}, "no 'role'"),
        ({"messages": [{"role": "user", "content": ""}]}, "empty text"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]},
            "a list of parts that are not all",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": " "}]}]}, "empty text"),
        ({"text": "x"}, "neither 'messages' nor 'prompt'"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "a reply only"),
    ],
)
def test_malformed_dialogues_are_named_by_file_and_line(tmp_path, record, fault):
    path = write(tmp_path / "b.jsonl", {"prompt": "x", "reference": "y"}, record)
    with pytest.raises(DataError, match=r"b\.jsonl:2: .*" + fault):
        list(read_dialogues(path, refuse=True))


@given(st.lists(st.one_of(st.text(max_size=20), st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=8)))))
def test_reading_never_fails_on_other_content(tmp_path_factory, records):
    path = tmp_path_factory.mktemp("any") / "c.jsonl"
    path.write_bytes("\n".join(json.dumps(r) for r in records).encode("utf-8", "surrogatepass"))
    assert all(r.reply for r in read_dialogues(str(path), refuse=False))
