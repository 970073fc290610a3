from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import FakeContext

from omnitrain.api import BatchPlan, Data, ExplainsBatches, OrdersBatches, Prepares, SavesAssets, TellsFacts, parse_field
from omnitrain.errors import DataError

TOKENIZER = {"vocabulary_size": 300}


def blocks(context: FakeContext, corpus: Path, **settings: Any) -> Any:
    text = {"use": "language/text", "path": str(corpus)}
    data = context.make("blocks", "data", text=text, tokenizer=TOKENIZER, length=16, **settings)
    data.prepare(context.workspace, context)
    return data


def pairs(context: FakeContext, tmp_path: Path, **settings: Any) -> Any:
    path = tmp_path / "pairs.jsonl"
    rows = [{"inputs": f"word {i} " * (1 + i % 4), "targets": f"meaning {i}"} for i in range(40)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    data = context.make("pairs", "data", path=str(path), tokenizer=TOKENIZER, **settings)
    data.prepare(context.workspace, context)
    return data


def assert_matches_fields(data: Any, batch: dict[str, Any]) -> None:
    assert set(batch) == set(data.batch)
    for name, spec in data.batch.items():
        field = parse_field(spec)
        assert str(batch[name].dtype) == f"torch.{field.dtype}"
        assert batch[name].ndim == len(field.dims or ())


@pytest.mark.parametrize("packing", ["wrapped", "packed"])
def test_every_token_is_predicted_once_per_epoch_from_the_token_before_it(
    context: FakeContext, corpus: Path, packing: str
) -> None:
    data = blocks(context, corpus, packing=packing)
    batch = data.collate(list(data.examples("train")))
    assert_matches_fields(data, batch)
    tokens = data.files["train"].tokens.astype(np.int64)
    counted = batch["loss_weights"].bool()
    assert counted.sum() == len(tokens) - 1
    found = sorted(zip(batch["input_ids"][counted].tolist(), batch["labels"][counted].tolist(), strict=True))
    assert found == sorted(zip(tokens[:-1].tolist(), tokens[1:].tolist(), strict=True))


def test_packed_rows_hold_one_document_per_segment(context: FakeContext, corpus: Path) -> None:
    data = blocks(context, corpus, packing="packed")
    batch = data.collate(list(data.examples("train")))
    documents = [data.files["train"].document(i, eos=True).tolist() for i in range(len(data.files["train"]))]
    short = [d for d in documents if len(d) <= 16]
    rows = zip(batch["labels"], batch["segment_ids"], batch["position_ids"], strict=True)
    found = []
    for labels, segments, positions in rows:
        for segment in range(1, int(segments.max()) + 1):
            inside = segments == segment
            assert positions[inside].tolist() == list(range(int(inside.sum())))
            found.append(labels[inside].tolist())
    assert short
    assert all(document in found for document in short)


@pytest.mark.parametrize("packing", ["wrapped", "packed"])
def test_resumed_batches_equal_uninterrupted_ones(context: FakeContext, corpus: Path, packing: str) -> None:
    data = blocks(context, corpus, packing=packing)
    plan = BatchPlan(batch_size=5, seed=1)
    whole = iter(data.batches("train", plan))
    expected = [next(whole) for _ in range(60)]
    stream = data.batches("train", plan)
    stream.load_state_dict({"position": 5 * 50})
    for old, new in zip(expected[50:], stream, strict=False):
        assert all(torch.equal(old[name], new[name]) for name in old)


def test_rows_that_fill_up_an_evaluation_have_no_loss(context: FakeContext, corpus: Path) -> None:
    data = blocks(context, corpus, packing="packed")
    batch = data.gather("valid", np.asarray([0, -1]))
    assert batch["loss_weights"][0].sum() > 0
    assert batch["loss_weights"][1].sum() == 0
    assert batch["example_ids"].tolist() == [0, -1]


def test_data_has_the_abilities_that_core_asks_for(context: FakeContext, corpus: Path, tmp_path: Path) -> None:
    for data in (blocks(context, corpus), pairs(context, tmp_path)):
        for ability in (Data, Prepares, TellsFacts, SavesAssets, OrdersBatches, ExplainsBatches):
            assert isinstance(data, ability)


def test_blocks_know_sizes_fingerprint_and_pieces(context: FakeContext, corpus: Path, tmp_path: Path) -> None:
    data = blocks(context, corpus)
    facts = data.facts()
    size = len(data.tokenizer)
    sizes = {"vocabulary_size": size, "unextended_size": size, "pad_id": 0, "eos_id": 1, "length": 16, "positions": 16}
    assert {name: facts[name] for name in sizes} == sizes
    assert data.fingerprint == blocks(context, corpus).fingerprint != blocks(context, corpus, packing="packed").fingerprint
    batch = data.collate([data.examples("valid")[-1]])
    shown = data.explain(batch, 0)
    assert {piece.role for piece in shown["labels"]} <= {"loss", "special", "plain", "padding"}
    assert any(piece.role == "loss" for piece in shown["labels"])
    data.save_assets(tmp_path / "assets")
    assert (tmp_path / "assets" / "tokenizer.json").is_file()


def test_unknown_split_is_a_data_error(context: FakeContext, corpus: Path) -> None:
    with pytest.raises(DataError, match="no split 'dev'"):
        blocks(context, corpus).examples("dev")


def test_encoder_decoder_pairs_end_with_eos_and_shift_the_targets(context: FakeContext, tmp_path: Path) -> None:
    data = pairs(context, tmp_path, inputs_length=12, targets_length=10)
    batch = data.collate([data.examples("train")[i] for i in range(8)])
    assert_matches_fields(data, batch)
    assert batch["input_ids"].shape[1] <= 16
    assert batch["attention_mask"].sum(-1).max() <= 12
    for row in range(8):
        inputs = batch["input_ids"][row][batch["attention_mask"][row]]
        targets = batch["labels"][row][batch["loss_weights"][row] > 0]
        assert inputs[-1] == targets[-1] == 1
        assert batch["decoder_input_ids"][row, 0] == 0
        assert torch.equal(batch["decoder_input_ids"][row, 1 : len(targets)], targets[:-1])


def test_decoder_only_pairs_flag_the_inputs_and_weigh_the_targets(context: FakeContext, tmp_path: Path) -> None:
    data = pairs(context, tmp_path, layout="decoder-only", prefix="say: ", valid_fraction=0.0)
    record = next(data.records("train"))
    batch = data.collate([data.examples("train")[0]])
    assert_matches_fields(data, batch)
    prefix = data.tokenizer("say: ").input_ids + data.tokenizer(record["inputs"]).input_ids
    targets = [*data.tokenizer(record["targets"]).input_ids, 1]
    inputs = batch["input_ids"][0][batch["attention_mask"][0]].tolist()
    assert inputs == [1, *prefix, *targets[:-1]]
    assert batch["labels"][0][batch["loss_weights"][0] > 0].tolist() == targets
    assert batch["prefix_mask"][0].sum() == len(prefix) + 1
    assert "mask" in {piece.role for piece in data.explain(batch, 0)["inputs"]}


def test_pairs_without_a_validation_file_are_cut_by_a_stable_hash(context: FakeContext, tmp_path: Path) -> None:
    data = pairs(context, tmp_path, valid_fraction=0.3)
    both = [[r["inputs"] for r in data.records(split)] for split in ("train", "valid")]
    assert data.splits() == ["train", "valid"]
    assert len(both[0]) + len(both[1]) == 40
    assert not set(both[0]) & set(both[1])
