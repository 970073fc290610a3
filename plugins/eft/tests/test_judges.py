"""Judges: functions, models, endpoints; grades that can't be read are counted."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from omnitrain.engine import Ledger
from omnitrain.errors import EnvironmentFault
from omnitrain_eft.configs.evaluators import JudgeConfig, JudgedConfig
from omnitrain_eft.evaluators.judged import JudgedReplies
from omnitrain_eft.evaluators.judges import ChatJudge, Submission, contains, distinct, overlap, question, read_grade
from omnitrain_language.chat.asking import Chat
from omnitrain_language.chat.endpoint import Endpoint
from omnitrain_language.configs.chat import ChatConfig
from omnitrain_testing.chat_server import completion, filtered, malformed, status

ITEM = Submission("What is dump?", "It writes an object.", "Write an object.")


def judge_of(server, folder, **settings):
    limits = {"first_wait_s": 0.0, "retries": 2, "concurrency": 1}
    chat = ChatConfig(kind="endpoint", url=server.url, name="judge", limits=limits, max_tokens=8, **settings)
    config = JudgeConfig(name="truth", kind="chat", chat=chat)
    return ChatJudge(config, Chat(chat, Endpoint(chat), partial(Ledger, folder / "answers")))


def test_answers_are_kept_and_servers_need_no_key(chat_server, tmp_path):
    chat_server.script.extend([completion("Grade: 7", model="judge"), completion("no idea", model="judge")])
    other = Submission("p", "another", "r")
    assert judge_of(chat_server, tmp_path)([ITEM, other, ITEM]) == [7.0, None, 7.0]
    assert judge_of(chat_server, tmp_path)([ITEM, other]) == [7.0, None]
    assert len(chat_server.received) == 2
    assert "It writes an object." in chat_server.prompts[0]
    assert "authorization" not in chat_server.received[0].headers


@pytest.mark.parametrize("reply", [completion("10 minus", "length"), completion("", "content_filter"), filtered()])
def test_answers_that_were_cut_or_filtered_give_no_grade(chat_server, tmp_path, reply):
    chat_server.script.append(reply)
    judge = judge_of(chat_server, tmp_path)
    assert judge([ITEM]) == [None]
    assert "1 are not taken as answers" in judge.chat.summary()


def test_busy_endpoints_are_asked_again_and_broken_ones_named(chat_server, tmp_path):
    chat_server.script.extend([status(503), malformed(), completion("9", model="judge")])
    assert judge_of(chat_server, tmp_path)([ITEM]) == [9.0]
    chat_server.script.append(status(401))
    with pytest.raises(EnvironmentFault, match="HTTP 401"):
        judge_of(chat_server, tmp_path)([Submission("p", "third", "r")])


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"kind": "chat"}, "needs chat"),
        ({"kind": "chat", "chat": {"kind": "endpoint"}}, "needs url"),
        ({"kind": "opens-with"}, "needs text"),
        ({"kind": "overlap", "lowest": 3.0, "highest": 1.0}, "must be below"),
    ],
)
def test_incomplete_judges_are_refused(settings, fault):
    with pytest.raises(ValidationError, match=fault):
        JudgeConfig(name="x", **settings)


def test_functions_grade_known_replies():
    assert overlap(ITEM) == pytest.approx(4 / 7)
    assert overlap(Submission("", "", "")) == 0.0
    assert contains(Submission("", "x: Write  an object. y", "write an object.")) == 1.0
    assert contains(Submission("", "x", "")) == 0.0
    assert distinct(Submission("", "a b c a b c", "")) == pytest.approx(3 / 4)
    assert distinct(Submission("", "", "")) == 0.0


@given(st.text(max_size=60))
def test_reading_grades_never_fails_and_stays_on_the_scale(text):
    grade = read_grade(text, 1.0, 10.0)
    assert grade is None or 1.0 <= grade <= 10.0


def test_places_in_replies_are_not_filled_in_again():
    config = JudgeConfig(name="x", kind="overlap", question="{prompt}|{reply}|{reference}")
    assert question(config, Submission("{reply}", "{reference}", "r")) == "{reply}|{reference}|r"


def test_unparsable_grades_are_counted_and_left_out_of_means():
    config = JudgedConfig(judges=[JudgeConfig(name="truth", kind="overlap")])
    replies = JudgedReplies(config, 0, 0)
    graded = {
        "truth": {"small fine-tuned": [1.0, 2.0, None], "large fine-tuned": [5.0, 6.0, 7.0], "up-scaled": [3.0, 6.0, 9.0]}
    }
    found = replies._evaluation(graded, {arm: [] for arm in graded["truth"]})
    assert found.metrics["small fine-tuned/truth"].value == 1.5
    assert found.metrics["small fine-tuned/truth unparsable"].value == 1
    improvement = found.metrics["up-scaled/truth improvement"]
    assert improvement.n == 2
    assert improvement.value == pytest.approx((4.5 - 1.5) / (5.5 - 1.5))
