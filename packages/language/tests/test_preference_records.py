"""Files of preference pairs in the forms that people have, sound and malformed."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from omnitrain.errors import DataError
from omnitrain_language.preferences.records import PreferenceRecord, read_preferences

USER = {"role": "user", "content": "Why?"}
HUMAN = "\n\nHuman: Why?\n\nAssistant:"


def said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def read(path: Path, *records: Any, refuse: bool = True, stored: bool = False) -> list[PreferenceRecord]:
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in records) + "\n", "utf-8")
    return list(read_preferences(str(path), refuse, stored))


@pytest.mark.parametrize(
    ("record", "prompt"),
    [
        ({"prompt": "Why?", "chosen": "So.", "rejected": "No."}, "Why?"),
        ({"prompt": [USER], "chosen": [said("So.")], "rejected": [said("No.")]}, [USER]),
        ({"messages": [USER], "chosen": "So.", "rejected": "No."}, [USER]),
        ({"chosen": [USER, said("So.")], "rejected": [USER, said("No.")]}, [USER]),
        # Beside whole dialogues, the first question and the dialogue that was taken: what UltraFeedback has.
        (
            {
                "prompt": "Why?",
                "chosen": [USER, said("So.")],
                "rejected": [USER, said("No.")],
                "messages": [USER, said("So.")],
                "score_chosen": 8.0,
            },
            [USER],
        ),
        # The form of Anthropic's HH.
        ({"chosen": f"{HUMAN} So.", "rejected": f"{HUMAN} No."}, [USER]),
        ({"chosen": "Q: Why? A: So.", "rejected": "Q: Why? A: No."}, "Q: Why? A:"),
        ({"prompt": None, "chosen": [USER, said("So.")], "rejected": [USER, said("No.")]}, [USER]),
    ],
)
def test_every_form_gives_prompt_and_both_responses(tmp_path: Path, record: Any, prompt: Any) -> None:
    (found,) = read(tmp_path / "a.jsonl", record)
    assert (found.prompt, found.chosen, found.rejected) == (prompt, "So.", "No.")
    assert found.place.endswith("a.jsonl:1")


def test_contents_of_text_parts_are_one_text(tmp_path: Path) -> None:
    def talk(reply: str) -> list[Any]:
        turns = (("user", "Hi"), ("assistant", reply))
        return [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in turns]

    path = tmp_path / "parts.jsonl"
    path.write_text(json.dumps({"chosen": talk("Yes."), "rejected": talk("No.")}) + "\n", "utf-8")
    (found,) = read_preferences(str(path), refuse=True)
    assert (found.prompt, found.chosen, found.rejected) == ([{"role": "user", "content": "Hi"}], "Yes.", "No.")


def test_pairs_of_one_prompt_have_one_key_whatever_their_form(tmp_path: Path) -> None:
    other = {"chosen": [USER, said("Sure.")], "rejected": [USER, said("Never.")]}
    first, second = read(tmp_path / "a.jsonl", {"prompt": [USER], "chosen": "So.", "rejected": "No."}, other)
    assert first.key == second.key


@pytest.mark.parametrize(
    ("record", "fault"),
    [
        ({"prompt": "Why?", "chosen": "So."}, "no field 'rejected'"),
        ({"prompt": "Why?", "chosen": "So.", "rejected": "So."}, "chosen and rejected are equal"),
        ({"prompt": "Why?", "chosen": "So.", "rejected": " "}, "rejected: empty text"),
        ({"prompt": "Why?", "chosen": "So.", "rejected": 3}, "rejected: text is int, not a string"),
        ({"prompt": "", "chosen": "So.", "rejected": "No."}, "prompt: empty text"),
        ({"prompt": "Why?", "chosen": "So.", "rejected": [said("No.")]}, "one side is a text and the other messages"),
        ({"chosen": [said("So.")], "rejected": [said("No.")]}, "no prompt"),
        ({"chosen": "So.", "rejected": "No."}, "no prompt"),
        ({"chosen": "Q: Why?", "rejected": "Q: Why? No."}, "one of the sides is empty"),
        ({"chosen": f"{HUMAN} So.", "rejected": HUMAN}, "rejected: a message's content: empty text"),
        ({"chosen": [USER, said("So.")], "rejected": [said("x"), said("No.")]}, "differ in more than a last message"),
        ({"chosen": [USER], "rejected": [said("No.")]}, "differ in more than a last message"),
        (
            {"prompt": "Who?", "chosen": [USER, said("So.")], "rejected": [USER, said("No.")]},
            "the prompt is another than the turns that both sides begin with",
        ),
        ("{", "not JSON"),
    ],
)
def test_malformed_pairs_are_named_by_file_and_line(tmp_path: Path, record: Any, fault: str) -> None:
    sound = {"prompt": "Why?", "chosen": "So.", "rejected": "No."}
    with pytest.raises(DataError, match=rf"a\.jsonl:2: .*{fault}"):
        read(tmp_path / "a.jsonl", sound, record)
    assert len(read(tmp_path / "a.jsonl", sound, record, sound, refuse=False)) == 2


def test_columns_of_text_are_read_from_tables(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("prompt\tchosen\trejected\nWhy?\tSo.\tNo.\n", "utf-8")
    (found,) = read_preferences(str(tmp_path / "a.tsv"), True)
    assert (found.prompt, found.chosen, found.rejected) == ("Why?", "So.", "No.")


@pytest.mark.parametrize("value", [None, "-1", float("nan"), float("-inf"), 0.5, True])
def test_stored_numbers_that_are_no_log_probabilities_are_named(tmp_path: Path, value: Any) -> None:
    pair = {"prompt": "Why?", "chosen": "So.", "rejected": "No.", "reference_chosen": -2.5, "reference_rejected": -3}
    (found,) = read(tmp_path / "a.jsonl", pair, stored=True)
    assert found.references == (-2.5, -3.0)
    with pytest.raises(
        DataError, match=r"a\.jsonl:1: reference_rejected is .*, no log-probability: expected a number of at most 0"
    ):
        read(tmp_path / "a.jsonl", {**pair, "reference_rejected": value}, stored=True)


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"chosen": "Q: Why? A: So.", "rejected": "Q: Why? A: No."}, "1 pairs name no prompt"),
        ({"prompt": "Why?", "chosen": "Why? So.", "rejected": "Why? No."}, "in 1 pairs both sides begin with their prompt"),
        ({"prompt": "Why?", "chosen": "So.", "rejected": "Why? No."}, ""),
        ({"chosen": f"{HUMAN} So.", "rejected": f"{HUMAN} No."}, ""),
    ],
)
def test_what_may_not_be_meant_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture, record: Any, told: str) -> None:
    with caplog.at_level(logging.WARNING):
        assert len(read(tmp_path / "a.jsonl", record)) == 1
    assert (told in caplog.text) if told else not caplog.text
