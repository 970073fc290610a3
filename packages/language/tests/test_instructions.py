"""Prompts and responses: what is in the loss, what is packed with what, and what becomes of dialogues that don't fit."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import FakeContext
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitrain.api import BatchPlan
from omnitrain.errors import DataError, Unreachable, UsageError
from omnitrain_language.dialogues.batches import packed_batch, padded_batch
from omnitrain_language.dialogues.rows import Row
from omnitrain_language.dialogues.stored import StoredRows, write_rows
from omnitrain_language.ends import end_ids
from omnitrain_language.packing import plan_best_fit, plan_in_order
from omnitrain_language.tokenizers import load_tokenizer
from omnitrain_testing.tokenizers import FAMILIES

PARTS = ["reply", "end"]


def write(path: Path, records: list[Any]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    return str(path)


def counting(count: int = 60) -> list[dict[str, str]]:
    return [{"inputs": f"count to {i}", "targets": " ".join(map(str, range(i % 23 + 1)))} for i in range(count)]


def made(context: FakeContext, folder: Path, records: list[Any] | None = None, **settings: Any) -> Any:
    path = settings.pop("path", None) or write(folder / "rows.jsonl", counting() if records is None else records)
    settings = {"template": "orca", "length": 96, "tokenizer": {"vocabulary_size": 400}, **settings}
    data = context.make("instructions", "data", path=path, **settings)
    data.prepare(context.workspace, context)
    return data


def replied(data: Any, batch: Any, row: int) -> list[str]:
    """Return the text of each stretch of a row that is in the loss."""
    ids, found = batch["labels"][row].tolist(), [list[int]()]
    for token, weight in zip(ids, batch["loss_weights"][row].tolist(), strict=True):
        if weight:
            found[-1].append(token)
        elif found[-1]:
            found.append([])
    return [data.tokenizer.decode(part) for part in found if part]


@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_the_loss_is_on_the_responses_and_their_ends_only(context: FakeContext, tmp_path: Path, layout: str) -> None:
    records = counting()
    data = made(context, tmp_path, records, layout=layout, valid_fraction=0)
    batch = data.collate([data.examples("train")[i] for i in range(3)])
    texts = [text for row in range(3) for text in replied(data, batch, row)]
    assert texts == [f"{record['targets']}</s>" for record in records[: len(texts)]]
    assert len(texts) == 3 if layout == "padded" else len(texts) > 3
    ends = batch["part_ids"] == PARTS.index("end")
    assert (batch["labels"][ends] == data.tokenizer.eos_token_id).all()
    assert data.facts()["group_names"] == {"part_ids": PARTS}
    assert any(piece.role == "loss" for piece in data.explain(batch, 0)["labels"])


def lengths_of_parts() -> st.SearchStrategy[list[tuple[int, int]]]:
    return st.lists(st.tuples(st.integers(1, 9), st.integers(1, 7)), min_size=1, max_size=30)


@settings(deadline=None)
@given(lengths_of_parts(), st.booleans())
def test_packed_rows_are_the_padded_ones_side_by_side(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[tuple[int, int]], best: bool
) -> None:
    rows = [
        Row([100 * n + i for i in range(p)], [100 * n + 50 + i for i in range(r)], [0] * (r - 1) + [1])
        for n, (p, r) in enumerate(sizes)
    ]
    folder = tmp_path_factory.mktemp("rows")
    write_rows(rows, 10_000, folder)
    stored = StoredRows(folder)
    plan = (plan_best_fit if best else plan_in_order)(stored.lengths, 16)
    packed = packed_batch(stored, [(plan, np.arange(plan.rows))], 7)
    alone = padded_batch(stored, np.arange(len(rows)), 15, 7)
    seen = []
    for row in range(plan.rows):
        for segment in range(1, int(packed["segment_ids"][row].max()) + 1):
            inside = packed["segment_ids"][row] == segment
            number = int(packed["input_ids"][row][inside][0]) // 100
            size = len(rows[number])
            seen.append(number)
            assert packed["position_ids"][row][inside].tolist() == list(range(size))
            for name in ("input_ids", "labels", "loss_weights", "part_ids"):
                assert packed[name][row][inside][:-1].tolist() == alone[name][number][: size - 1].tolist()
            # No label is the first token of the dialogue behind.
            assert packed["labels"][row][inside][-1] == 7
            assert packed["loss_weights"][row][inside][-1] == 0
        padding = packed["segment_ids"][row] == 0
        assert (packed["input_ids"][row][padding] == 7).all()
        assert not packed["loss_weights"][row][padding].any()
    assert sorted(seen) == list(range(len(rows)))


def test_a_packed_row_has_the_loss_and_the_gradient_of_its_dialogues_alone(context: FakeContext, tmp_path: Path) -> None:
    records = counting(12)
    losses, gradients = [], []
    for layout in ("padded", "packed"):
        data = made(context, tmp_path, records, layout=layout, valid_fraction=0)
        torch.manual_seed(0)
        model = context.make("causal", "model", data.facts(), size="tiny", style="llama").double()
        objective = context.make("causal-nll", "objective", data.facts())
        batch = data.collate(list(data.examples("train")))
        loss = objective(model, batch)
        loss.total.backward()
        losses.append((float(loss.total.detach()), float(loss.weight)))
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-7)
    assert torch.allclose(*gradients, rtol=1e-5, atol=1e-6)


def numbers(batches: Any, count: int) -> list[list[int]]:
    """Return which dialogues the rows of batches hold: what they count to."""
    return [batch["input_ids"].tolist() for batch in islice(batches, count)]


def dialogues_in(batch: Any) -> list[tuple[int, ...]]:
    found = []
    for ids, segments in zip(batch["input_ids"].tolist(), batch["segment_ids"].tolist(), strict=True):
        for segment in range(1, max(segments) + 1):
            found.append(tuple(i for i, s in zip(ids, segments, strict=True) if s == segment))
    return found


@pytest.mark.parametrize("packing", ["in-order", "best-fit"])
def test_rows_are_packed_anew_each_epoch_and_every_dialogue_is_seen_once(
    context: FakeContext, tmp_path: Path, packing: str
) -> None:
    data = made(context, tmp_path, packing=packing, valid_fraction=0)
    epochs = []
    for seed in (1, 1, 2):
        stream = data.batches("train", BatchPlan(1, seed))
        rows = [dialogues_in(batch) for batch in islice(stream, 90)]
        flat = [dialogue for row in rows for dialogue in row]
        assert len(set(flat[:60])) == 60 == len(set(flat[60:120]))
        epochs += [flat[:60], flat[60:120]]
    assert epochs[0] == epochs[2]
    assert len({tuple(epoch) for epoch in epochs}) == 4
    together = []
    for epoch in range(2):
        plan = data.planned("train", 1, epoch)
        together.append({tuple(sorted(plan.order[plan.first[row] : plan.first[row + 1]])) for row in range(plan.rows)})
    assert len(together[0] & together[1]) < len(together[0]) / 2


@pytest.mark.parametrize("packing", ["in-order", "best-fit"])
def test_a_stream_goes_on_exactly_by_one_number(context: FakeContext, tmp_path: Path, packing: str) -> None:
    data = made(context, tmp_path, packing=packing, valid_fraction=0)

    def stream(**plan: Any) -> Any:
        return data.batches("train", BatchPlan(**{"batch_size": 4, "seed": 3, **plan}))

    whole = numbers(stream(), 20)
    stopped = stream()
    numbers(stopped, 7)
    state = stopped.state_dict()
    assert list(state) == ["position"]
    assert isinstance(state["position"], int)
    fresh = stream()
    fresh.load_state_dict(json.loads(json.dumps(state)))
    assert numbers(fresh, 13) == whole[7:]
    ranks = [stream(batch_size=2, rank=rank, world=2) for rank in range(2)]
    for rank in ranks:
        rank.load_state_dict(state)
    both = zip(*(numbers(rank, 13) for rank in ranks), strict=True)
    assert [first + second for first, second in both] == whole[7:]


def test_evaluation_sees_every_dialogue_once_and_processes_the_same_number_of_batches(
    context: FakeContext, tmp_path: Path
) -> None:
    data = made(context, tmp_path, valid_fraction=0)
    whole = list(data.batches("train", BatchPlan(4, 0, train=False)))
    flat = [dialogue for batch in whole for dialogue in dialogues_in(batch)]
    assert len(flat) == len(set(flat)) == 60
    ranks = [list(data.batches("train", BatchPlan(4, 0, rank, 3, train=False))) for rank in range(3)]
    assert len({len(rank) for rank in ranks}) == 1
    weight = sum(float(batch["loss_weights"].sum()) for batch in whole)
    assert sum(float(batch["loss_weights"].sum()) for rank in ranks for batch in rank) == weight


def test_fill_and_factor_are_told_and_right(context: FakeContext, tmp_path: Path) -> None:
    for packing in ("in-order", "best-fit"):
        data = made(context, tmp_path, packing=packing, valid_fraction=0)
        told = [event for event in context.events if event["event"] == "rows"][-1]
        plan = data.planned("train", None)
        filled = sum(len(ids) for batch in data.batches("train", BatchPlan(9, 0, train=False)) for ids in dialogues_in(batch))
        assert told["factor"] == round(60 / plan.rows, 3)
        assert told["fill"] == round(filled / (96 * plan.rows), 4)
        assert told["rows"] == plan.rows
    assert told["fill"] > 0.9


def long_records() -> list[dict[str, str]]:
    return [
        {"inputs": "a", "targets": "b"},
        {"inputs": "a b", "targets": "c " * 80},
        {"inputs": "d " * 80, "targets": "e"},
        {"inputs": "f", "targets": "g " * 90},
    ]


def test_long_dialogues_are_refused_dropped_or_cut_and_named(
    context: FakeContext, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "long.jsonl", long_records())
    fixed: dict[str, Any] = {"path": path, "length": 64, "valid_fraction": 0, "layout": "padded"}
    with pytest.raises(
        DataError, match=r"3 longer than length 64; .*long\.jsonl:2 \(\d+ tokens\).*too_long to drop"
    ) as refused:
        made(context, tmp_path, **fixed)
    assert "special tokens" not in str(refused.value)
    dropped = made(context, tmp_path, too_long="drop", **fixed)
    assert len(dropped.examples("train")) == 1
    assert "3 left out, longer than length 64" in caplog.messages[-1]
    assert "long.jsonl:3" in caplog.messages[-1]
    cut = made(context, tmp_path, too_long="cut", **fixed)
    assert (
        "2 cut at their end, longer than length 64, 1 left out, longer than length 64 before any response"
        in caplog.messages[-1]
    )
    batch = cut.collate(list(cut.examples("train")))
    eos = cut.tokenizer.eos_token_id
    assert batch["input_ids"].shape == (3, 64)
    assert (batch["labels"][0][batch["loss_weights"][0] > 0][-1]) == eos
    # What is cut loses its end too: the model is not taught to stop there.
    assert all(eos not in batch["labels"][row][batch["loss_weights"][row] > 0] for row in (1, 2))
    with pytest.raises(DataError, match="no dialogue is left that fits"):
        made(context, tmp_path, long_records()[2:3], length=64, valid_fraction=0, too_long="cut")
    with pytest.raises(DataError, match=r"split valid holds no dialogue; .*valid_fraction"):
        made(context, tmp_path, long_records()[:1], length=64, valid_fraction=0.01)


TALK = [
    {"role": "system", "content": "be short"},
    {"role": "user", "content": "the mill"},
    {"role": "assistant", "content": "the old river"},
    {"role": "user", "content": "and then"},
    {"role": "assistant", "content": "a river runs"},
]


@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_all_responses_of_a_dialogue_or_its_last_are_in_the_loss(context: FakeContext, tmp_path: Path, layout: str) -> None:
    for family in ("chat", "dummy-prefix"):
        FAMILIES[family](tmp_path / family)
        found = {}
        for turns in ("last", "all"):
            template = "chat" if family == "chat" else "vicuna"
            settings = {"template": template, "tokenizer": {"path": str(tmp_path / family)}, "valid_fraction": 0}
            data = made(context, tmp_path, [{"messages": TALK}], turns=turns, layout=layout, **settings)
            batch = data.collate(list(data.examples("train")))
            found[turns] = [text.strip() for text in replied(data, batch, 0)]
            end = "<|im_end|>" if family == "chat" else "</s>"
        assert found["last"] == [f"a river runs{end}"]
        assert found["all"] == [f"the old river{end}", f"a river runs{end}"]


def test_records_of_every_form_are_the_same_rows(context: FakeContext, tmp_path: Path) -> None:
    system, user, answer = "be short", "why, then", "so"
    messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    forms: dict[str, tuple[Any, dict[str, Any]]] = {
        "messages": ({"messages": [*messages, {"role": "assistant", "content": answer}]}, {}),
        "reply beside": ({"messages": messages, "targets": answer}, {}),
        "columns": ({"s": system, "q": user, "r": answer}, {"system_field": "s", "inputs_field": "q", "targets_field": "r"}),
    }
    rows = []
    for name, (record, chosen) in forms.items():
        path = write(tmp_path / f"{name}.jsonl", [record])
        rows.append((path, chosen))
    table = tmp_path / "rows.tsv"
    table.write_text(f"s\tinputs\ttargets\n{system}\t{user}\t{answer}\n", "utf-8")
    rows.append((str(table), {"system_field": "s"}))
    FAMILIES["byte-bpe"](tmp_path / "tokenizer")
    tokenizer = {"path": str(tmp_path / "tokenizer")}
    batches = []
    for path, chosen in rows:
        data = made(context, tmp_path, path=path, valid_fraction=0, tokenizer=tokenizer, **chosen)
        batches.append(data.collate(list(data.examples("train"))))
    assert all(torch.equal(batch[name], batches[0][name]) for batch in batches for name in ("input_ids", "labels", "part_ids"))


def test_pairs_read_messages_too(context: FakeContext, tmp_path: Path) -> None:
    talk = [*TALK[:2], {"role": "assistant", "content": "so"}]
    path = write(tmp_path / "both.jsonl", [{"messages": talk}, {"inputs": "why", "targets": "thus"}])
    found = list(context.make("pairs", "data", path=path, valid_fraction=0.0).records("train"))
    assert found == [{"inputs": "be short\nthe mill", "targets": "so"}, {"inputs": "why", "targets": "thus"}]


def test_a_template_must_be_named_and_its_tokens_be_there(context: FakeContext, tmp_path: Path) -> None:
    FAMILIES["byte-bpe"](tmp_path / "t")
    tokenizer = {"path": str(tmp_path / "t")}
    with pytest.raises(UsageError, match=r"no chat template of its own; set template to one of chatml, llama-3, orca"):
        made(context, tmp_path, template="chat", tokenizer=tokenizer)
    with pytest.raises(UsageError, match=r"no token <\|begin_of_text\|>.*tokenizer.extra_tokens: \[\"<\|begin_of_text\|>\""):
        made(context, tmp_path, template="llama-3", tokenizer=tokenizer)
    with pytest.raises(UsageError, match=r"'llama3' holds no \{prompt\}; write 'plain', 'chat', 'chatml', 'llama-3'"):
        made(context, tmp_path, template="llama3")


def test_a_model_keeps_the_template_that_it_was_trained_in(context: FakeContext, tmp_path: Path) -> None:
    tokens = ["<|im_start|>", "<|im_end|>"]
    data = made(context, tmp_path, template="chatml", tokenizer={"vocabulary_size": 400, "extra_tokens": tokens})
    data.save_assets(tmp_path / "saved")
    saved = load_tokenizer(tmp_path / "saved")
    turn = saved.convert_tokens_to_ids("<|im_end|>")
    assert end_ids(saved) == [saved.eos_token_id, turn]
    asked = saved.apply_chat_template([{"role": "user", "content": "count to 3"}], add_generation_prompt=True, tokenize=False)
    assert asked == "<|im_start|>user\ncount to 3<|im_end|>\n<|im_start|>assistant\n"


def test_an_end_that_is_also_the_padding_stays_in_the_loss(context: FakeContext, tmp_path: Path) -> None:
    FAMILIES["chat"](tmp_path / "t")
    data = made(context, tmp_path, template="orca", tokenizer={"path": str(tmp_path / "t")}, valid_fraction=0)
    assert data.tokenizer.pad_token_id == data.tokenizer.eos_token_id
    batch = data.collate([data.examples("train")[0]])
    ends = (batch["part_ids"] == PARTS.index("end")).sum()
    assert ends == batch["segment_ids"].max() > 1
    assert (batch["segment_ids"] == 0).any()


def test_dialogues_that_spell_out_special_tokens_are_named(
    context: FakeContext, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    records = [*counting(3), {"inputs": "say </s> now", "targets": "no"}]
    with pytest.raises(
        DataError, match=r"1 spell out a special token; .*rows\.jsonl:4 \(</s>\); set malformed: skip"
    ) as refused:
        made(context, tmp_path, records, valid_fraction=0)
    assert "too_long" not in str(refused.value)
    data = made(context, tmp_path, records, valid_fraction=0, malformed="skip")
    assert "1 left out since they spell out a special token" in caplog.messages[-1]
    assert len(data.stored("train")) == 3
    plain = made(context, tmp_path, records, valid_fraction=0, template="Q: {prompt}\nA:")
    assert len(plain.stored("train")) == 4


def test_a_validation_file_of_its_own_is_read_and_counts(context: FakeContext, tmp_path: Path) -> None:
    valid = write(tmp_path / "valid.jsonl", counting(5))
    data = made(context, tmp_path, valid_path=valid)
    assert [len(data.stored(split)) for split in data.splits()] == [60, 5]
    write(tmp_path / "valid.jsonl", counting(6))
    assert made(context, tmp_path, valid_path=valid).fingerprint != data.fingerprint
    with pytest.raises(DataError, match="no split 'test'"):
        data.examples("test")


def test_files_of_another_machine_are_told_and_otherwise_missed(context: FakeContext, tmp_path: Path) -> None:
    away = str(tmp_path / "away.jsonl")
    with pytest.raises(Unreachable, match=r"away\.jsonl is not on this machine"):
        made(context, tmp_path, path=away, elsewhere=True)
    with pytest.raises(DataError, match="no such file") as missed:
        made(context, tmp_path, path=away)
    assert not isinstance(missed.value, Unreachable)
    there = made(context, tmp_path)
    assert made(context, tmp_path, elsewhere=True).fingerprint == there.fingerprint
