"""Validation measures the whole split, or the run ends and says why."""

import json

import pytest


def measured(outcome):
    rows = map(json.loads, (outcome.out / "metrics.jsonl").read_text().splitlines())
    return {row["step"]: row["loss"] for row in rows if row["split"] == "valid"}


@pytest.mark.parametrize("form", ["map", "iterable", "stream", "gather"])
def test_record_that_cannot_be_read_ends_the_run_and_is_named(train, form):
    outcome = train("run", rows={"form": form, "validation": 20, "broken_at": 5}, fit={"batch_size": 2})
    assert outcome.code == 4, outcome.error
    assert outcome.error["text"] == "valid.jsonl:5: not valid JSON."
    assert not measured(outcome)
    assert not (outcome.out / "train/model").exists()


def test_record_behind_the_measured_batches_is_never_read(train):
    rows = {"form": "iterable", "validation": 20, "broken_at": 5}
    outcome = train("run", rows=rows, fit={"batch_size": 2, "evaluate_batches": 2})
    assert outcome.code == 0, outcome.error
    assert len(measured(outcome)) == 4


def test_every_form_of_the_same_rows_has_the_same_loss(train):
    found = [measured(train(form, rows={"form": form, "validation": 20})) for form in ("map", "gather", "iterable")]
    assert list(found[0]) == [6, 12, 18, 20]
    assert found[0] == found[1]
    assert found[0][6] != found[2][6]  # an iterable is not shuffled for training


def test_data_that_ends_before_the_steps_is_a_fault_of_the_settings(train):
    outcome = train("run", rows={"form": "stream", "ends_after": 3})
    assert outcome.code == 4
    assert outcome.error["text"] == "The data ended before the planned number of steps; lower fit.steps or let it repeat."
