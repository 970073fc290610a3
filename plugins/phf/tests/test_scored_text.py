"""The data component: what batches hold, the order, resume, ranks, malformed records."""

import json
from itertools import islice

import numpy as np
import pytest
import torch

from omnitrain.api import BatchPlan
from omnitrain.engine.state import pack, unpack
from omnitrain.errors import DataError, UsageError
from omnitrain_phf.configs.data import ScoredTextConfig
from omnitrain_phf.data.scored_text import build

CONTROL = {"threshold": 0.0, "drop_token_fraction": 0.1}


def numbers(stream, count):
    return [batch["example_ids"].tolist() for batch in islice(iter(stream), count)]


def equal(a, b):
    return all(torch.equal(x[name], y[name]) for x, y in zip(a, b, strict=True) for name in x)


def test_control_tokens_are_single_ids_behind_the_tokenizers_own(make_data):
    plain, data = make_data(), make_data(control=CONTROL)
    facts = data.facts()
    size = plain.facts()["vocabulary_size"]
    assert facts["control_ids"] == {"aligned": size, "misaligned": size + 1}
    assert facts["added_control_ids"] == [size, size + 1]
    assert facts["vocabulary_size"] == size + 2
    assert data.tokenizer("<|aligned|>", add_special_tokens=False).input_ids == [size]


def test_each_control_token_stands_before_a_segment_of_its_side(make_data):
    data = make_data(control=CONTROL)
    ids = data.facts()["control_ids"]
    batch = next(iter(data.batches("train", BatchPlan(64, 0))))
    real = batch["loss_weights"] > 0
    bad = batch["token_scores"] > 0
    assert bad[real & (batch["labels"] == ids["misaligned"])].all()
    assert not bad[real & (batch["labels"] == ids["aligned"])].any()


def test_every_block_is_seen_once_an_epoch_in_another_order(make_data):
    data = make_data()
    total = sum(len(batch["input_ids"]) for batch in data.batches("train", BatchPlan(16, 0, train=False)))
    stream = iter(data.batches("train", BatchPlan(1, 3)))
    epoch = [int(next(stream)["example_ids"]) for _ in range(total)]
    assert sorted(epoch) == list(range(total))
    assert epoch != sorted(epoch)


@pytest.mark.parametrize("shuffle", [0, 7, 50, 100_000])
@pytest.mark.parametrize("at", [0, 3, 61, 140])
def test_stream_resumes_bitwise_anywhere(make_data, shuffle, at):
    data = make_data(control=CONTROL, shuffle_buffer=shuffle, buffer_characters=3000)
    plan = BatchPlan(8, 11)
    whole = data.batches("train", plan)
    batches = iter(whole)
    for _ in range(at):
        next(batches)
    state = unpack(*pack(whole.state_dict()))
    expected = list(islice(batches, 12))
    resumed = data.batches("train", plan)
    resumed.load_state_dict(state)
    assert equal(list(islice(iter(resumed), 12)), expected)


def test_ranks_see_disjoint_blocks_that_together_are_the_stream(make_data):
    data = make_data()
    alone = numbers(data.batches("train", BatchPlan(8, 5)), 6)
    ranks = [numbers(data.batches("train", BatchPlan(4, 5, rank=rank, world=2)), 6) for rank in (0, 1)]
    assert [a + b for a, b in zip(*ranks, strict=True)] == alone
    assert len({n for row in alone for n in row}) == 48


def test_evaluation_gives_all_ranks_equally_many_batches_and_weighs_each_block_once(make_data):
    data = make_data()
    one = list(data.batches("valid", BatchPlan(3, 0, train=False)))
    two = [list(data.batches("valid", BatchPlan(3, 0, rank=r, world=2, train=False))) for r in (0, 1)]
    assert len(two[0]) == len(two[1])
    weight = sum(float(b["loss_weights"].sum()) for b in one)
    assert sum(float(b["loss_weights"].sum()) for rank in two for b in rank) == weight


def test_filter_and_skip_are_for_training_only(make_data):
    plain, filtered = make_data(), make_data(filter_threshold=0.0, skip_tokens=320)
    count = lambda data, split: sum(len(b["input_ids"]) for b in data.batches(split, BatchPlan(8, 0, train=False)))  # noqa: E731
    assert count(plain, "valid") == count(filtered, "valid")
    first = set(numbers(filtered.batches("train", BatchPlan(8, 0)), 1)[0])
    assert min(first) >= 10


def test_filter_that_leaves_nothing_is_told(make_data, tmp_path, write_records):
    records = [{"texts": ["some words here. "], "scores": [0.5], "avg_score": 0.5} for _ in range(60)]
    data = make_data(write_records(tmp_path / "bad.jsonl", records), filter_threshold=0.1)
    with pytest.raises(DataError, match="higher filter_threshold"):
        next(iter(data.batches("train", BatchPlan(4, 0))))


def test_unsegmented_records_are_one_segment_or_get_no_control_token(make_data, tmp_path, write_records):
    path = write_records(tmp_path / "plain.jsonl", [{"text": f"document {i} of some words. ", "score": 0.0} for i in range(80)])
    counts = {}
    for mode in ("one-segment", "no-control"):
        data = make_data(path, control={"drop_token_fraction": 0.0}, unsegmented=mode)
        batch = next(iter(data.batches("train", BatchPlan(8, 0))))
        counts[mode] = int((batch["input_ids"] == data.facts()["control_ids"]["aligned"]).sum())
    assert counts["one-segment"] > 5
    assert counts["no-control"] == 0


MALFORMED = {
    "no field 'scores'": '{"texts": ["a b"]}',
    "no field 'texts'": '{"scores": [0.1]}',
    "2 texts, 1 scores": '{"texts": ["a", "b"], "scores": [0.1]}',
    "a score is no finite number": '{"texts": ["a"], "scores": [NaN]}',
    "not JSON": '{"texts": ["a"]',
    "record is list, not an object": "[1, 2]",
    "texts is no list of strings": '{"texts": ["a", 3], "scores": [0, 0]}',
    "empty text": '{"texts": [" "], "scores": [0]}',
    "avg_score is no finite number": '{"texts": ["a b"], "scores": [0], "avg_score": -1}',
}


@pytest.mark.parametrize("reason", MALFORMED)
def test_malformed_record_is_named_with_file_and_line(make_data, tmp_path, reason):
    path = tmp_path / "mixed.jsonl"
    good = json.dumps({"texts": ["a few words. "] * 3, "scores": [0.0] * 3})
    path.write_text("\n".join([*[good] * 60, MALFORMED[reason], good]), "utf-8")
    with pytest.raises(DataError) as refused:
        make_data(path)
    assert reason in str(refused.value)
    assert f"{path}:61" in str(refused.value)
    assert make_data(path, malformed="skip").corpus("train").documents > 40


def test_bytes_that_are_no_text_are_named(make_data, tmp_path):
    path = tmp_path / "bytes.jsonl"
    good = json.dumps({"texts": ["a few words. "] * 3, "scores": [0.0] * 3}).encode()
    path.write_bytes(b"\n".join([*[good] * 60, b'{"texts": ["\xff"], "scores": [0]}']))
    with pytest.raises(DataError, match=r"bytes\.jsonl:61: not UTF-8"):
        make_data(path)


def test_parquet_is_read_like_json_lines(make_data, records, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [json.loads(line) for line in records.read_text("utf-8").splitlines()]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "records.parquet")
    lines, table = make_data().corpus("train"), make_data(tmp_path / "records.parquet").corpus("train")
    assert np.array_equal(lines.tokens, table.tokens)
    assert np.array_equal(lines.segment_scores, table.segment_scores)


def test_one_source_of_records_is_needed(context):
    for settings in ({}, {"path": "x", "score": {}}):
        with pytest.raises(UsageError, match="either path"):
            build(ScoredTextConfig.model_validate(settings), context)


def test_fingerprint_changes_with_the_records_and_every_setting(make_data, tmp_path, write_records):
    one = make_data(prepare=False).fingerprint
    assert make_data(prepare=False).fingerprint == one
    changes = [{"control": {}}, {"filter_threshold": 0.1}, {"tails": "drop"}, {"permute_scores": True}, {"skip_tokens": 5}]
    assert len({make_data(prepare=False, **change).fingerprint for change in changes} | {one}) == len(changes) + 1
    other = write_records(tmp_path / "other.jsonl", [{"texts": ["x y"], "scores": [0.0]}])
    assert make_data(other, prepare=False).fingerprint != one
