"""Endpoints that fail in every way: what is tried again, what ends the job, what is kept and what it costs."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial

import pytest
from pydantic import ValidationError

from omnitrain.engine import Ledger
from omnitrain.errors import EnvironmentFault, Stopped, UsageError
from omnitrain_language.chat.asking import Chat
from omnitrain_language.chat.endpoint import Clock, Endpoint
from omnitrain_language.chat.messages import ask_for, key_of
from omnitrain_language.chat.wire import Wire
from omnitrain_language.configs.chat import ChatConfig
from omnitrain_testing import chat_server as fake
from omnitrain_testing.chat_server import ChatServer


class Patient(Clock):
    """A clock on which waits for nothing but time pass at once."""

    def __init__(self):
        self.time, self.waits = 0.0, []

    def now(self):
        return self.time

    def wait(self, running, seconds):
        if running:
            super().wait(running, 60.0)
        else:
            self.waits.append(seconds)
            self.time += seconds


class Made:
    """A chat with a server, its clock and what it said."""

    def __init__(self, server, folder, check=lambda: None, **settings):
        limits = {"retries": 3, "concurrency": 4, **settings.pop("limits", {})}
        self.config = ChatConfig(kind="endpoint", url=server.url, name="teacher", limits=limits, **settings)
        self.clock, self.said = Patient(), []
        self.endpoint = Endpoint(self.config, check, self.said.append, self.clock)
        self.chat = Chat(self.config, self.endpoint, partial(Ledger, folder / "answers"))

    def ask(self, *prompts):
        return [answer.text for answer in self.chat.ask([ask_for(prompt) for prompt in prompts])]


def kept(folder):
    with Ledger(folder / "answers", writes=False) as ledger:
        return dict(ledger.items())


def test_equal_requests_are_asked_once_and_kept_in_one_file(chat_server, tmp_path):
    prompts = [f"p{number}" for number in range(20)] * 2
    assert Made(chat_server, tmp_path).ask(*prompts) == [f"answer to {prompt}" for prompt in prompts]
    again = Made(chat_server, tmp_path)
    assert again.ask(*prompts) == [f"answer to {prompt}" for prompt in prompts]
    assert sorted(chat_server.prompts) == sorted(set(prompts))
    assert [path.name for path in (tmp_path / "answers").iterdir()] == ["items.jsonl"]
    assert again.chat.summary() == "20 answers, 0 of them new"


def test_requests_are_sent_at_the_same_time_up_to_the_setting(tmp_path):
    import threading

    together = threading.Barrier(4)
    with ChatServer(before=lambda received: together.wait(30)) as server:
        Made(server, tmp_path).ask(*(f"p{number}" for number in range(8)))
        assert server.most_at_once == 4


FAILURES = {
    "busy": fake.status(429, retry_after="0"),
    "server error": fake.status(500),
    "unavailable": fake.status(503),
    "dropped": fake.dropped(),
    "torn": fake.torn(),
    "malformed": fake.malformed(),
    "empty": fake.malformed(b"{}"),
    "a list": fake.malformed(b"[1]"),
    "no text": fake.malformed(b'{"choices": [{"message": {"content": null}}]}'),
    "not text": fake.malformed(b'{"choices": [{"message": {"content": 3}, "finish_reason": "stop"}]}'),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_passing_failures_are_tried_again(chat_server, tmp_path, failure):
    chat_server.script.extend([failure, failure])
    assert Made(chat_server, tmp_path).ask("p") == ["answer to p"]
    assert len(chat_server.received) == 3


@pytest.mark.parametrize("failure", [fake.hung(), fake.slow()], ids=["hung", "slow"])
def test_answers_that_never_end_are_given_up_and_tried_again(chat_server, tmp_path, failure):
    chat_server.script.append(failure)
    assert Made(chat_server, tmp_path, limits={"timeout_s": 0.2}).ask("p") == ["answer to p"]


def test_retry_after_is_obeyed_in_seconds_and_as_a_date_and_stops_all_requests(chat_server, tmp_path):
    now = datetime(2026, 1, 2, tzinfo=UTC)
    later = format_datetime(now + timedelta(seconds=40), usegmt=True)
    chat_server.script.extend(
        [fake.status(429, retry_after="17"), fake.status(503, retry_after=later, Date=format_datetime(now, True))]
    )
    made = Made(chat_server, tmp_path, limits={"concurrency": 1})
    made.ask("a", "b")
    assert made.clock.waits[0] == 17.0
    assert sum(made.clock.waits) >= 17.0 + 39.0


def test_a_wait_that_is_too_long_ends_the_job_with_advice(chat_server, tmp_path):
    chat_server.script.append(fake.status(429, retry_after="86400"))
    with pytest.raises(EnvironmentFault, match=r"wait 86400 s\); raise limits.longest_wait_s, .* answers so far are kept"):
        Made(chat_server, tmp_path).ask("p")


def test_tries_end_and_what_came_meanwhile_is_kept(tmp_path):
    def answer(messages):
        return fake.status(500) if messages[-1]["content"] == "bad" else "good"

    with ChatServer(answer) as server:
        with pytest.raises(EnvironmentFault, match=r"gave no answer of 'teacher' \(HTTP 500.*tried 4 times\)") as raised:
            Made(server, tmp_path).ask("bad", *(f"p{number}" for number in range(3)))
        assert raised.value.exit_code == 5
        assert [value["text"] for value in kept(tmp_path).values()] == ["good"] * 3


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (fake.status(404, error="model_not_found", message="no such model"), "HTTP 404 model_not_found: no such model"),
        (fake.status(400, message="temperature is too high"), "HTTP 400 refused: temperature is too high"),
        (fake.status(429, error="insufficient_quota", message="pay first"), "HTTP 429 insufficient_quota: pay first"),
        (fake.status(307, Location="http://elsewhere/v1"), "it sends on to http://elsewhere/v1"),
    ],
)
def test_what_no_further_try_mends_ends_the_job_at_once(chat_server, tmp_path, reply, said):
    chat_server.script.append(reply)
    with pytest.raises(EnvironmentFault) as raised:
        Made(chat_server, tmp_path).ask("p")
    assert said in str(raised.value)
    assert len(chat_server.received) == 1


PAGE = b"<html><head><title>403</title><style>b {}</style></head><body><h1>Forbidden</h1>\n<p>blocked here</p></body></html>"


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (fake.Reply(403, PAGE), "(HTTP 403: Forbidden blocked here); set the variable that key_variable names"),
        (fake.Reply(401, b'{"detail": "no key"}'), "(HTTP 401: no key); set the variable that key_variable names"),
        (fake.Reply(404, b'{"detail": "Not Found"}'), "(HTTP 404: Not Found); check that url ends where the API begins"),
        (fake.Reply(404, b'{"error": "no model x"}'), "(HTTP 404: no model x); check that url ends where the API begins"),
        (fake.Reply(400, b'[{"error": {"message": "top_k"}}]'), "(HTTP 400: top_k); change the setting that it does not take"),
        (fake.Reply(400, b'{"message": {"a": 1}}'), "(HTTP 400); change the setting that it does not take"),
        (fake.status(301, Location="https://b.org/v1"), "sends on to https://b.org/v1); write the address that it sends on to"),
        (fake.status(429, error="insufficient_quota"), "raise the quota of the account"),
        (fake.malformed(PAGE), "HTTP 200 without a completion in OpenAI's form, tried 1 times); check that url ends"),
        (fake.status(500), "wait until the server is well again, or raise limits.retries"),
        (fake.hung(), "(no answer in time, tried 1 times); raise limits.timeout_s"),
        (fake.dropped(), "(the connection failed: RemoteDisconnected, tried 1 times); check url and the network"),
    ],
)
def test_a_job_that_ends_says_what_the_server_said_and_what_to_do(chat_server, tmp_path, reply, said):
    chat_server.script.append(reply)
    with pytest.raises(EnvironmentFault) as raised:
        Made(chat_server, tmp_path, limits={"retries": 0, "timeout_s": 2.0}).ask("p")
    assert said in str(raised.value)
    assert str(raised.value).endswith(", and run again: answers so far are kept.")


def test_cut_and_filtered_texts_are_counted_and_kept_and_are_no_answers(chat_server, tmp_path):
    replies = [
        fake.completion("half of", "length"),
        fake.completion("", "content_filter"),
        fake.filtered(),
        fake.completion("whole", None),
        fake.status(400, error="context_length_exceeded"),
        fake.completion("whole"),
    ]
    chat_server.script.extend(replies)
    prompts = [str(number) for number in range(6)]
    made = Made(chat_server, tmp_path, limits={"concurrency": 1})
    assert made.ask(*prompts) == [None, None, None, None, None, "whole"]
    assert made.chat.summary() == (
        "6 answers, 6 of them new; 5 are not taken as answers (2 content_filter, 1 context_length, 1 length, 1 unknown)"
    )
    taking = Made(chat_server, tmp_path, take=["stop", "length", "unknown"])
    assert taking.ask(*prompts) == ["half of", None, None, "whole", None, "whole"]
    assert len(chat_server.received) == 6


def test_servers_without_keys_get_none(chat_server, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")
    Made(chat_server, tmp_path).ask("p")
    assert "authorization" not in chat_server.received[0].headers


def test_the_key_is_sent_and_written_nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv("A_KEY", "secret-key\n")
    with ChatServer(key="secret-key") as server:
        made = Made(server, tmp_path, key_variable="A_KEY")
        assert made.ask("p") == ["answer to p"]
        server.key = "another"
        with pytest.raises(EnvironmentFault, match=r"Incorrect API key provided: \*\*\*") as raised:
            made.ask("q")
    assert "secret-key" not in str(raised.value)
    assert not any(b"secret-key" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize(("value", "fault"), [("", "no key"), ("two\nlines", "no usable key"), ("schlüssel", "no usable key")])
def test_a_key_that_is_none_is_named_before_anything_is_sent(chat_server, tmp_path, monkeypatch, value, fault):
    monkeypatch.setenv("A_KEY", value)
    with pytest.raises(EnvironmentFault, match=f"environment variable A_KEY holds {fault}"):
        Made(chat_server, tmp_path, key_variable="A_KEY").ask("p")
    assert chat_server.received == []


def test_another_model_is_said_or_refused(chat_server, tmp_path):
    chat_server.script.extend([fake.completion("x", model="teacher-0613"), fake.completion("y", model="pupil")])
    made = Made(chat_server, tmp_path, limits={"concurrency": 1})
    assert made.ask("p", "q") == ["x", "y"]
    assert made.said == [f"{chat_server.url}: the model 'pupil' answers in place of 'teacher'"]
    chat_server.script.append(fake.completion("y", model="pupil"))
    with pytest.raises(EnvironmentFault, match="'pupil' answers in place of 'teacher'; name that one"):
        Made(chat_server, tmp_path, exact_name=True).ask("r")


def test_a_budget_ends_the_job_before_it_is_exceeded_and_a_raised_one_goes_on(chat_server, tmp_path):
    prices = {"prompt_price": 1e5, "completion_price": 1e5, "max_tokens": 5}  # 0.1 a token: 1.5 an answer
    prompts = [str(number) for number in range(20)]
    with pytest.raises(UsageError, match=r"budget: .* of 20 is spent .* is kept: raise budget") as raised:
        Made(chat_server, tmp_path, budget=20.0, **prices).ask(*prompts)
    assert raised.value.exit_code == 2
    paid = kept(tmp_path)
    assert 0 < len(paid) < 20
    assert len(paid) == len(chat_server.received)
    assert sum(value["cost"] for value in paid.values()) <= 20.0
    again = Made(chat_server, tmp_path, budget=40.0, **prices)
    assert None not in again.ask(*prompts)
    assert len(chat_server.received) == 20
    assert again.chat.budget.spent == pytest.approx(30.0)


def test_tokens_that_nobody_counts_cost_the_most_that_they_may(chat_server, tmp_path):
    chat_server.script.append(fake.completion("x", tokens=None))
    made = Made(chat_server, tmp_path, prompt_price=0.0, completion_price=1e6, max_tokens=7)
    made.ask("p")
    assert made.chat.budget.spent == 7.0
    assert "counts no tokens" in made.said[0]


def test_limits_a_minute_hold_for_further_tries_too(chat_server, tmp_path):
    chat_server.script.append(fake.status(500))
    made = Made(chat_server, tmp_path, limits={"requests_per_minute": 2, "first_wait_s": 0.0})
    made.ask("a", "b", "c")
    assert made.clock.time >= 60.0


def test_a_stop_keeps_what_is_under_way(chat_server, tmp_path):
    def check():
        if len(chat_server.received) >= 3:
            raise Stopped("asked to stop")

    with pytest.raises(Stopped):
        Made(chat_server, tmp_path, check, limits={"concurrency": 2}).ask(*(str(number) for number in range(50)))
    assert 3 <= len(kept(tmp_path)) == len(chat_server.received) < 50


CHILD = """
    import sys
    from functools import partial
    from pathlib import Path
    from omnitrain.engine import Ledger
    from omnitrain_language.chat.asking import Chat
    from omnitrain_language.chat.endpoint import Endpoint
    from omnitrain_language.chat.messages import ask_for
    from omnitrain_language.configs.chat import ChatConfig

    config = ChatConfig(kind="endpoint", url=sys.argv[1], name="teacher", limits={"concurrency": 3})
    chat = Chat(config, Endpoint(config), partial(Ledger, Path(sys.argv[2]) / "answers"))
    print([answer.text for answer in chat.ask([ask_for(f"p{number}") for number in range(40)])])
"""


def test_a_killed_job_goes_on_and_pays_for_nothing_that_is_kept_twice(tmp_path):
    children = []

    def kill(received):
        if len(server.received) == 20:
            os.kill(children[0].pid, signal.SIGKILL)

    with ChatServer(before=kill) as server:
        command = [sys.executable, "-c", textwrap.dedent(CHILD), server.url, str(tmp_path)]
        children.append(subprocess.Popen(command, stdout=subprocess.PIPE))
        children[0].communicate()
        assert children[0].returncode == -signal.SIGKILL
        first, before = kept(tmp_path), len(server.received)
        assert before - 3 <= len(first) <= 20
        found = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode()
        assert found.strip() == str([f"answer to p{number}" for number in range(40)])
        assert len(kept(tmp_path)) == 40
        assert len(server.received) - before == 40 - len(first)
        lines = (tmp_path / "answers" / "items.jsonl").read_text().splitlines()
        assert len({json.loads(line)["key"] for line in lines}) == len(lines) == 41


def test_keys_are_the_same_in_every_process_and_tell_settings_and_samples_apart(chat_server, tmp_path):
    request = ask_for("What is it?", "Explain.")
    assert key_of({"kind": "endpoint", "model": "m"}, request) == "79cfe1fd0edff01c59ab1fe8486adbae"
    made = [
        Made(chat_server, tmp_path, **s).endpoint.identity for s in ({}, {"temperature": 0.5}, {"max_tokens": 3}, {"seed": 1})
    ]
    keys = {key_of(identity, ask_for("p", sample=sample)) for identity in made for sample in (0, 1)}
    assert len(keys) == 8
    patient = Made(chat_server, tmp_path, limits={"retries": 9}, budget=1.0, prompt_price=1.0)
    assert patient.endpoint.identity == made[0]


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"kind": "endpoint", "name": "m"}, "needs url"),
        ({"kind": "endpoint", "url": "https://a.org/v1"}, "needs name"),
        ({"kind": "endpoint", "url": "http://a.org/v1", "name": "m", "key_variable": "K"}, "https"),
        ({"kind": "endpoint", "url": "http://localhost.a.org/v1", "name": "m", "key_variable": "K"}, "https"),
        ({"kind": "endpoint", "url": "https://me:secret@a.org/v1", "name": "m"}, "no user, password"),
        ({"kind": "endpoint", "url": "a.org", "name": "m"}, "must begin with"),
        (
            {"kind": "endpoint", "url": "https://a.org:abc/v1", "name": "m"},
            "url 'https://a.org:abc/v1' has no port",
        ),
        ({"kind": "endpoint", "url": "https://a.org:99999/v1", "name": "m"}, "url 'https://a.org:99999/v1' has no port"),
        ({"kind": "endpoint", "url": "https://a.org:0/v1", "name": "m"}, "url 'https://a.org:0/v1' has port 0"),
        ({"kind": "endpoint", "url": "https://a.org", "name": "m", "budget": 1.0}, "needs prompt_price"),
        ({"kind": "endpoint", "url": "https://a.org", "name": "m", "extra": {"stream": True}}, "may not hold stream"),
        ({"kind": "model"}, "needs model"),
        ({"kind": "recorded"}, "needs path"),
        ({"kind": "rule"}, "needs rule"),
    ],
)
def test_incomplete_settings_are_refused(settings, fault):
    with pytest.raises(ValidationError, match=fault):
        ChatConfig(**settings)


def test_a_proxy_without_a_port_of_a_server_is_named(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://me:secret@proxy:abc")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(EnvironmentFault, match=r"^the environment variable http_proxy names no port .* from 1 to 65535$"):
        Wire("http://a.org/v1", 1.0).post("/chat/completions", b"{}", {})


class Counts:
    """A server's account of tokens a minute. each: what it counts for a request, which may be the longest that is allowed."""

    def __init__(self, clock, limit, each):
        self.clock, self.limit, self.each = clock, limit, each
        self.taken = []

    def __call__(self, messages):
        now = self.clock.now()
        recent = [at for at in self.taken if now - at < 60.0]
        if (len(recent) + 1) * self.each > self.limit:
            return fake.status(429, retry_after=str(recent[0] + 60.0 - now))
        self.taken.append(now)
        return fake.completion("x", tokens=(10, 10))


@pytest.mark.parametrize(("each", "prompts", "minutes"), [(20, 400, 2), (1000, 40, 10)])
def test_a_limit_of_tokens_is_kept_full_although_answers_are_far_below_the_longest(tmp_path, each, prompts, minutes):
    with ChatServer() as server:
        made = Made(server, tmp_path, max_tokens=980, limits={"concurrency": 1, "tokens_per_minute": 4000, "retries": 6})
        server.answer = Counts(made.clock, 4000, each)
        texts = made.ask(*(f"p{number}" for number in range(prompts)))
    assert set(texts) == {"x"}
    assert made.clock.time <= minutes * 60.5 / 0.95
