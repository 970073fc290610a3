"""The recipes: tiny from end to end, the others as far as a dry run goes; what the stages leave."""

import json

import pytest
from helpers import record, write_records

from omnitrain.errors import DataError
from omnitrain_testing.running import dry_run, run_recipe

RULE = {"kind": "rule", "rule": "omnitrain_orca.flan.teachers:strong"}


def rows(file):
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def chain(path, *explains, **settings):
    sample = {"name": "sample", "use": "orca/sample", "path": str(path), **settings}
    return {"summary": "Sample and explain.", "seed": 3, "stages": [sample, *explains]}


def test_tiny_goes_from_queries_to_an_exam_with_the_same_messages_for_both_teachers(tmp_path):
    run_recipe("orca/tiny", tmp_path / "run")
    queries = {row["id"]: row for row in rows(tmp_path / "run/sample/queries/queries.jsonl")}
    weak, strong = (rows(tmp_path / f"run/{name}/explanations/explanations.jsonl") for name in ("weak", "strong"))
    assert len(weak) == len(queries)
    assert len(strong) == 40
    by_id = {row["id"]: row for row in weak}
    for row in strong:
        other = by_id[row["id"]]
        assert [row[name] for name in ("system_id", "system_prompt", "question")] == [
            other[name] for name in ("system_id", "system_prompt", "question")
        ]
        assert row["teacher"].endswith(":strong")
        assert len(row["response"]) >= len(other["response"])
    metrics = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text("utf-8").splitlines()]
    assert any("told/average" in line for line in metrics)


@pytest.mark.parametrize("name", ["mini", "paper"])
def test_recipes_fit_together(name, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    found = dry_run(f"orca/{name}")
    assert found.error is None
    assert all(stage.exit_code == 0 for stage in found.stages), found.lines


def test_shards_give_the_same_bytes(tmp_path):
    made = [record("NIv2", f"task{t}", n) for t in range(5) for n in range(9)]
    made += [record("Flan2021", f"flan{t}", n) for t in range(5) for n in range(9 * t + 1)]
    whole, shards = tmp_path / "whole", tmp_path / "shards"
    whole.mkdir(), shards.mkdir()
    write_records(whole / "all.jsonl", made)
    for number in range(8):
        write_records(shards / f"{number}.jsonl", made[number::8])
    rules = {"niv": {"per_task": 4}, "flan": {"per_task": 20, "queries": 30}}
    found = []
    for path in (whole, shards):
        run_recipe(chain(path, **rules), tmp_path / f"run-{path.name}")
        found.append((tmp_path / f"run-{path.name}/sample/queries/queries.jsonl").read_bytes())
    assert found[0] == found[1]
    assert found[0].count(b"\n") == 5 * 4 + 30


def test_without_a_teacher_the_targets_are_the_responses_and_a_dry_run_counts_requests(tmp_path):
    path = write_records(tmp_path / "flan.jsonl", [record(number=n) for n in range(6)])
    explain = {"name": "answers", "use": "orca/explain", "queries": {"from": "sample"}, "count": 4}
    run_recipe(chain(path, explain), tmp_path / "run")
    found = rows(tmp_path / "run/answers/explanations/explanations.jsonl")
    assert [(row["response"], row["system_prompt"], row["teacher"]) for row in found] == [
        (row["target"], "", "target") for row in found
    ]
    assert len(found) == 4
    queries = tmp_path / "run/sample/queries/queries.jsonl"
    alone = {"name": "explain", "use": "orca/explain", "path": str(queries), "teacher": {"kind": "endpoint", "name": "m"}}
    alone["teacher"] |= {"url": "http://localhost:9/v1", "prompt_price": 1.0, "completion_price": 2.0}
    shown = dry_run({"summary": "Ask.", "seed": 0, "stages": [alone]})
    text = "\n".join(shown.lines)
    assert "6 requests to http://localhost:9/v1" in text
    assert "costs about" in text


@pytest.mark.parametrize(
    ("settings", "told"),
    [({"count": 9}, "count 9: there are 3 sampled queries"), ({"teacher": RULE}, "answer the generated tasks only")],
)
def test_what_cannot_be_asked_is_refused(tmp_path, settings, told):
    path = write_records(tmp_path / "flan.jsonl", [record(number=n) for n in range(3)])
    explain = {"name": "explain", "use": "orca/explain", "queries": {"from": "sample"}, **settings}
    with pytest.raises(DataError) as caught:
        run_recipe(chain(path, explain), tmp_path / "run")
    assert told in str(caught.value)


def test_files_with_few_shot_queries_alone_are_refused(tmp_path):
    path = write_records(tmp_path / "flan.jsonl", [record(kind="fs_noopt")])
    with pytest.raises(DataError, match=r"no zero-shot query is left \(1 by the rule few-shot\)"):
        run_recipe(chain(path), tmp_path / "run")
