"""FLAN-shaped records: what rules leave out, what is malformed, and in which order lines are written."""

import random

import pytest
from helpers import record, write_records

from omnitrain.errors import DataError
from omnitrain_orca.flan.agreement import agrees
from omnitrain_orca.flan.ordering import write_ranked
from omnitrain_orca.flan.records import LeftOut, read_queries


def read(path, refuse=True):
    left_out = LeftOut()
    return list(read_queries(str(path), refuse, left_out)), left_out.counts


def test_rules_leave_out_few_shot_dialog_and_big_bench(tmp_path):
    rows = [
        record("CoT", kind="fs_opt"),
        record("Dialog"),
        record("P3", "bigbench:hyperbaton"),
        record("P3", "BIG-bench_navigate"),
        record("P3", "adversarial_qa"),
        record("Flan2021", "arc_easy", kind="zs_opt", inputs="Which?\nOPTIONS:\n- a\n- b"),
        record("Flan2021", "translate", kind="zs_opt"),
        record("NIv2", "task001"),
    ]
    queries, left_out = read(write_records(tmp_path / "flan.jsonl", rows))
    assert left_out == {"few-shot": 1, "dialog": 1, "BIG-bench": 2}
    assert [(q.collection, q.has_options) for q in queries] == [("t0", False), ("flan", True), ("flan", False), ("niv", False)]
    assert len({q.id for q in queries}) == 4


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"inputs": None}, "inputs: text is NoneType"),
        ({"targets": " "}, "targets: empty text"),
        ({"task_source": "Wiki"}, "task_source 'Wiki' is none of CoT, NIv2, P3"),
        ({"template_type": "zs"}, "template_type 'zs' is none of zs_opt"),
        ({"has_options": "no"}, "has_options is str"),
    ],
)
def test_a_malformed_record_is_refused_by_file_and_line_or_left_out(tmp_path, changes, told):
    path = write_records(tmp_path / "flan.jsonl", [record(), record(number=1, **changes)])
    with pytest.raises(DataError, match=r"flan\.jsonl:2: ") as caught:
        read(path)
    assert told in str(caught.value)
    assert len(read(path, refuse=False)[0]) == 1


def test_a_record_without_a_field_names_it(tmp_path):
    bare = record()
    del bare["task_name"]
    with pytest.raises(DataError, match="no field 'task_name'"):
        read(write_records(tmp_path / "flan.jsonl", [bare]))


@pytest.mark.parametrize("count", [1, 9, 10, 31])
def test_lines_are_written_by_place_with_few_in_memory(tmp_path, count):
    lines = [(place, f"line {place}\u2028end") for place in range(count)]
    random.Random(1).shuffle(lines)
    write_ranked(lines, count, tmp_path / "out", tmp_path / "parts", together=10)
    assert (tmp_path / "out").read_text("utf-8").split("\n") == [f"line {n}\u2028end" for n in range(count)] + [""]
    assert not (tmp_path / "parts").exists()


@pytest.mark.parametrize(
    ("response", "target", "same"),
    [
        ("2 + 2 = 4. The answer is 4.", "4", True),
        ("The answer is (B), not (A).", "(B)", True),
        ("The answer is 42.", "4", False),
        ("The answer is 3. No: the answer is 4", "4", True),
        ("It must be yes.", "yes", True),
        ("yes and no", "yes", False),
    ],
)
def test_agreement_with_the_label(response, target, same):
    assert agrees(response, target) is same
