"""`orca/explain` against a server on this machine that fails in every way, killed in the middle, and with other teachers."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from helpers import record, write_records
from test_recipes import chain, rows

from omnitrain.errors import DataError
from omnitrain_testing.chat_server import ChatServer, completion, dropped, filtered, malformed, status, torn
from omnitrain_testing.running import run_recipe

COUNT = 12


@pytest.fixture
def queries(tmp_path):
    """A file of sampled queries."""
    path = write_records(tmp_path / "flan.jsonl", [record(number=number) for number in range(COUNT)])
    run_recipe(chain(path), tmp_path / "sampled")
    return tmp_path / "sampled/sample/queries/queries.jsonl"


def asking(queries, server, **settings):
    limits = {"first_wait_s": 0.0, "longest_wait_s": 5.0, "concurrency": 2}
    teacher = {"kind": "endpoint", "url": server.url, "name": "teacher", "limits": limits, "temperature": 0.7}
    stage = {"name": "explain", "use": "orca/explain", "path": str(queries), "teacher": teacher, **settings}
    return {"summary": "Explain.", "seed": 0, "stages": [stage]}


def explained(run):
    return rows(run / "explain/explanations/explanations.jsonl")


def test_every_query_is_answered_once_whatever_the_server_does(queries, tmp_path):
    faults = [status(429, retry_after="0"), status(500), dropped(), torn(), malformed(), status(503)]
    with ChatServer(script=faults) as server:
        run_recipe(asking(queries, server), tmp_path / "run")
        found = explained(tmp_path / "run")
        assert len(server.received) == COUNT + len(faults)
        sent = {request.prompt: request.body["messages"] for request in server.received}
    asked = rows(queries)
    assert [row["id"] for row in found] == [row["id"] for row in asked]
    for row, query in zip(found, asked, strict=True):
        messages = sent[query["question"]]
        assert [message["content"] for message in messages] == [text for text in (query["system"], query["question"]) if text]
        assert row["response"] == f"answer to {query['question']}"
        assert (row["system_id"], row["teacher"], row["finish_reason"]) == (query["system_id"], "teacher", "stop")
        assert row["usage"] == {"prompt_tokens": 10, "completion_tokens": 5}
        assert row["decoding"] == {"temperature": 0.7, "max_tokens": 1024}


def test_cut_filtered_and_empty_answers_are_counted_and_not_trained_on(queries, tmp_path):
    with ChatServer(script=[completion("cut", "length"), filtered(), completion("", "stop")]) as server:
        run_recipe(asking(queries, server), tmp_path / "run")
    assert len(explained(tmp_path / "run")) == COUNT - 3
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text("utf-8").splitlines()]
    told = {name: value for line in lines for name, value in line.items() if name.startswith("left out/")}
    assert told == {"left out/length": 1, "left out/content_filter": 1, "left out/empty": 1}


def test_only_answers_that_agree_with_the_label_are_kept_on_request(queries, tmp_path):
    targets = {row["question"]: row["target"] for row in rows(queries)}
    wrong = sorted(targets)[:4]

    def answer(messages):
        question = messages[-1]["content"]
        return f"Think. The answer is {'nothing' if question in wrong else targets[question]}."

    with ChatServer(answer) as server:
        run_recipe(asking(queries, server, agreeing=True), tmp_path / "run")
    assert {row["question"] for row in explained(tmp_path / "run")} == set(targets) - set(wrong)


def test_two_teachers_are_asked_the_same_and_a_subset_is_inside_the_larger_one(queries, tmp_path):
    found = []
    for count in (8, 5):
        with ChatServer() as server:
            run_recipe(asking(queries, server, count=count), tmp_path / f"run-{count}")
        found.append({row["id"]: (row["system_prompt"], row["question"]) for row in explained(tmp_path / f"run-{count}")})
    larger, smaller = found
    assert (len(larger), len(smaller)) == (8, 5)
    assert smaller.items() <= larger.items()


def test_a_killed_stage_goes_on_and_pays_nothing_twice(queries, tmp_path):
    children = []

    def kill(received):
        if len(server.received) == 7 and len(children) == 1:
            os.kill(children[0].pid, signal.SIGKILL)

    with ChatServer(before=kill) as server:
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(yaml.safe_dump(asking(queries, server)), "utf-8")
        command = [sys.executable, "-m", "omnitrain", "run", str(recipe), "--out", str(tmp_path / "run"), "--quiet"]
        children.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        children[0].communicate()
        assert children[0].returncode == -signal.SIGKILL
        before = len(server.received)
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        # Two requests at a time: what was under way when it was killed is asked again, what was kept is not.
        assert COUNT <= len(server.received) <= COUNT + 2
        assert before >= 7
    assert [row["id"] for row in explained(tmp_path / "run")] == [row["id"] for row in rows(queries)]


def test_recorded_answers_are_a_teacher_like_any_other(queries, tmp_path):
    file = Path(tmp_path / "recorded.jsonl")
    with file.open("w", encoding="utf-8") as out:
        for row in rows(queries):
            system = [{"role": "system", "content": row["system"]}] if row["system"] else []
            messages = [*system, {"role": "user", "content": row["question"]}]
            out.write(json.dumps({"messages": messages, "text": f"It is {row['target']}.", "finish": "stop"}) + "\n")
    stage = {"name": "explain", "use": "orca/explain", "path": str(queries), "teacher": {"kind": "recorded", "path": str(file)}}
    run_recipe({"summary": "Replay.", "seed": 0, "stages": [stage]}, tmp_path / "run")
    assert [row["response"] for row in explained(tmp_path / "run")] == [f"It is {row['target']}." for row in rows(queries)]


def test_a_file_that_holds_no_queries_is_named_by_line(tmp_path):
    file = write_records(tmp_path / "queries.jsonl", [{"question": "x"}])
    with ChatServer() as server, pytest.raises(DataError, match=r"queries\.jsonl:1 is no query of orca/sample"):
        run_recipe(asking(file, server), tmp_path / "run")
