"""Judges: functions, models, endpoints; grades that can't be read are counted."""

import json
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from omnitrain.engine import Ledger
from omnitrain.errors import EnvironmentFault, UsageError
from omnitrain_eft.configs.evaluators import JudgeConfig, JudgedConfig
from omnitrain_eft.evaluators.judged import JudgedReplies
from omnitrain_eft.evaluators.judges import (
    EndpointJudge,
    ModelJudge,
    Submission,
    contains,
    distinct,
    overlap,
    question,
    read_grade,
)

ITEM = Submission("What is dump?", "It writes an object.", "Write an object.")


@pytest.fixture
def endpoint(monkeypatch):
    """A server that gives the answers of a list, one after the other; numbers are HTTP errors."""
    answers, asked = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, self.headers["Authorization"], body))
            answer = answers.pop(0)
            self.send_response(answer if isinstance(answer, int) else 200)
            self.end_headers()
            if not isinstance(answer, int):
                content = answer if isinstance(answer, bytes) else json.dumps(reply_of(answer)).encode()
                self.wfile.write(content)

        def log_message(self, *args):
            pass

    def reply_of(text):
        return {"choices": [{"message": {"content": text}}]}

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("A_KEY", "secret-key")
    config = JudgeConfig(
        name="truth",
        kind="endpoint",
        url=f"http://127.0.0.1:{server.server_port}/v1",
        endpoint_model="judge",
        key_variable="A_KEY",
        retries=2,
    )
    yield config, answers, asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_endpoint_answers_are_kept_and_the_key_is_not(endpoint, tmp_path):
    config, answers, asked = endpoint
    answers += ["Grade: 7", "no idea"]
    judge = EndpointJudge(config, partial(Ledger, tmp_path / "judges"))
    other = Submission("p", "another", "r")
    assert judge([ITEM, other]) == [7.0, None]
    assert EndpointJudge(config, partial(Ledger, tmp_path / "judges"))([ITEM, other]) == [7.0, None]
    assert len(asked) == 2
    path, authorization, body = asked[0]
    assert (path, authorization, body["model"]) == ("/v1/chat/completions", "Bearer secret-key", "judge")
    assert "It writes an object." in body["messages"][0]["content"]
    kept = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert kept
    assert not any(b"secret-key" in file.read_bytes() for file in kept)


@pytest.mark.parametrize("fault", [b"", b'{"crc":"0000'])
def test_answers_whose_file_was_torn_are_asked_for_again_and_the_others_kept(endpoint, tmp_path, fault):
    config, answers, asked = endpoint
    answers += ["7", "8"]
    judge = EndpointJudge(config, partial(Ledger, tmp_path / "judges"))
    other = Submission("p", "another", "r")
    judge([ITEM, other])
    file = tmp_path / "judges" / "items.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]) + fault)
    answers += ["9"]
    assert judge([ITEM, other]) == [7.0, 9.0]
    assert judge([ITEM, other]) == [7.0, 9.0]
    assert len(asked) == 3


def test_an_empty_file_of_answers_is_filled_anew(endpoint, tmp_path):
    config, answers, asked = endpoint
    (tmp_path / "judges").mkdir()
    (tmp_path / "judges" / "items.jsonl").touch()
    answers += ["7"]
    judge = EndpointJudge(config, partial(Ledger, tmp_path / "judges"))
    assert judge([ITEM, ITEM]) == [7.0, 7.0]
    assert len(asked) == 1


def test_busy_endpoints_are_asked_again_and_broken_ones_named(endpoint, tmp_path):
    config, answers, asked = endpoint
    waits = []
    judge = EndpointJudge(config, partial(Ledger, tmp_path / "judges"), waits.append)
    answers += [503, b"not json", "9"]
    assert judge([ITEM]) == [9.0]
    assert waits == [1.0, 2.0]
    answers += [429, 429, 429]
    with pytest.raises(EnvironmentFault, match=r"judge truth: .* gave no answer \(HTTP 429\)") as raised:
        judge([Submission("p", "again", "r")])
    assert "secret-key" not in str(raised.value)
    answers += [401]
    with pytest.raises(EnvironmentFault, match="HTTP 401"):
        judge([Submission("p", "third", "r")])
    assert len(asked) == 7


def test_a_missing_key_is_named_before_anything_is_sent(endpoint, tmp_path, monkeypatch):
    config, _, asked = endpoint
    monkeypatch.delenv("A_KEY")
    with pytest.raises(UsageError, match="environment variable A_KEY holds no key"):
        EndpointJudge(config, partial(Ledger, tmp_path / "judges"))([ITEM])
    assert asked == []


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"kind": "endpoint", "url": "http://example.org/v1", "endpoint_model": "m"}, "https"),
        ({"kind": "endpoint"}, "needs url"),
        ({"kind": "model"}, "needs model"),
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


def test_model_judges_ask_their_model():
    class Fixed:
        def generate_text(self, prompts, **settings):
            return [" 8" if "object" in p else "none" for p in prompts]

    judge = ModelJudge(JudgeConfig(name="x", kind="overlap"), Fixed())
    assert judge([ITEM, Submission("p", "r", "f")]) == [8.0, None]


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
