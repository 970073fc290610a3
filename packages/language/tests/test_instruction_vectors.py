"""Vectors of trl and transformers on masks, packing and packed rows, through the code that trains."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from omnitrain_language.dialogues.batches import packed_batch
from omnitrain_language.dialogues.presets import written_in
from omnitrain_language.dialogues.rows import Dialogue, Row, RowEncoder
from omnitrain_language.dialogues.stored import StoredRows, write_rows
from omnitrain_language.masks import accept_masks, causal_mask
from omnitrain_language.objectives import model_inputs
from omnitrain_language.packing import cut_to_capacity, plan_best_fit, plan_in_order
from omnitrain_language.tokenizers import load_tokenizer
from omnitrain_testing.contexts import FakeContext

GOLDEN = Path(__file__).parent / "golden"
# Beside a checkout; a test that runs elsewhere, as those of the wheel do, finds nothing there and skips.
DATA = Path(os.environ.get("OMNITRAIN_TEST_DATA", Path(__file__).resolve().parent / "../../../../shared/data"))
TOKENIZER = DATA / "orca/tokenizer"
NONE = -100


def cases(name: str) -> list[Any]:
    found: list[Any] = json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))["cases"]
    return found


def stored_in(folder: Path, ids: list[list[int]], labels: list[list[int]]) -> StoredRows:
    rows = [
        Row(row, [], [], [0 if label != NONE else -1 for label in kept]) for row, kept in zip(ids, labels, strict=True) if row
    ]
    write_rows(rows, 10_000, folder)
    return StoredRows(folder)


def unshifted(batch: Any, row: int, count: int) -> list[int]:
    """Return the labels of a row as trl has them: each at its own place, that of a first token never."""
    labels, weights = batch["labels"][row].tolist(), batch["loss_weights"][row].tolist()
    return [NONE, *(label if weight else NONE for label, weight in zip(labels, weights, strict=True))][:count]


@pytest.mark.parametrize("case", cases("packing_trl"), ids=lambda case: case["input"]["strategy"])
def test_best_fit_is_that_of_trl(case: Any, tmp_path: Path) -> None:
    given, expected = case["input"], case["output"]
    capacity = given["seq_length"]
    ids, labels = ([row for row in given[name] if row] for name in ("input_ids", "labels"))
    flat, flat_labels = (np.asarray([i for row in rows for i in row], np.int64) for rows in (ids, labels))
    sizes = np.asarray([len(row) for row in ids], np.int64)
    starts = np.cumsum(sizes) - sizes
    if given["strategy"] == "bfd":
        sizes = np.minimum(sizes, capacity)
    elif given["strategy"] == "bfd_split":
        starts, sizes = cut_to_capacity(starts, sizes, capacity)
    else:
        starts, sizes = cut_to_capacity(np.zeros(1, np.int64), np.asarray([len(flat)]), capacity)
    plan = plan_in_order(sizes, capacity) if given["strategy"] == "wrapped" else plan_best_fit(sizes, capacity, oldest=True)
    rows = [plan.order[plan.first[row] : plan.first[row + 1]] for row in range(plan.rows)]
    for name, source in (("input_ids", flat), ("labels", flat_labels)):
        found = [np.concatenate([source[starts[i] : starts[i] + sizes[i]] for i in row]).tolist() for row in rows]
        assert found == expected[name]
    if "seq_lengths" in expected:
        assert [sizes[row].tolist() for row in rows] == expected["seq_lengths"]


@pytest.mark.parametrize("case", [case for case in cases("collator_trl") if case["input"]["padding_free"]])
def test_packed_rows_are_those_of_trls_collator(case: Any, tmp_path: Path) -> None:
    ids, labels = [], []
    for example in case["input"]["examples"]:
        ends = np.cumsum(example["seq_lengths"]).tolist()
        for start, end in zip([0, *ends], ends, strict=False):
            ids.append(example["input_ids"][start:end])
            labels.append(example["labels"][start:end])
    stored = stored_in(tmp_path, ids, labels)
    expected = {name: case["output"][name][0] for name in ("input_ids", "labels", "position_ids", "seq_idx")}
    count = len(expected["input_ids"])
    plan = plan_in_order(stored.lengths, count)
    batch = packed_batch(stored, [(plan, np.arange(plan.rows))], case["input"]["pad_token_id"])
    assert plan.rows == 1
    assert batch["input_ids"][0].tolist() == expected["input_ids"]
    assert unshifted(batch, 0, count) == expected["labels"]
    real = int(stored.lengths.sum())
    # trl takes each padding token for an example of its own; here all padding is one segment, 0.
    assert batch["position_ids"][0].tolist()[:real] == expected["position_ids"][:real]
    assert (batch["segment_ids"][0] - 1).tolist()[:real] == expected["seq_idx"][:real]


@pytest.mark.parametrize("case", cases("packed_mask"))
def test_a_token_sees_what_it_may_of_its_dialogue(case: Any) -> None:
    positions = np.asarray(case["input"]["position_ids"])
    segments = 1 + np.cumsum(np.diff(positions, prepend=positions[0] - 1) != 1)
    allowed = causal_mask(len(positions), torch.from_numpy(segments)[None])[0, 0]
    assert allowed.int().tolist() == case["output"]["allowed"]


@pytest.mark.parametrize("case", range(3))
def test_a_packed_row_has_the_logits_of_transformers(case: int, tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    golden = json.loads((GOLDEN / "packed_llama.json").read_text("utf-8"))
    given, expected = golden["cases"][case]["input"], golden["cases"][case]["output"]
    config = LlamaConfig(**golden["config"], rms_norm_eps=1e-6, rope_theta=10000.0, attn_implementation="sdpa")
    model = LlamaForCausalLM(config).double()
    weights = {name: torch.tensor(value, dtype=torch.float64) for name, value in golden["state_dict"].items()}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert set(missing) <= {"lm_head.weight"}
    assert not unexpected
    model.tie_weights()
    accept_masks(model)
    stored = stored_in(tmp_path, given["examples"], given["labels"])
    plan = plan_in_order(stored.lengths, 32)
    batch = packed_batch(stored, [(plan, np.arange(1))], 0)
    logits = model(**model_inputs(batch), use_cache=False).logits[0, : int(stored.lengths.sum())]
    assert torch.allclose(logits, torch.tensor(expected["logits_packed"], dtype=torch.float64), rtol=0, atol=1e-5)


@pytest.mark.skipif(not TOKENIZER.is_dir(), reason="needs the shared tokenizer beside a checkout")
def test_masks_of_prompts_are_those_of_trl(tmp_path: Path) -> None:
    tokenizer = written_in(load_tokenizer(TOKENIZER), "orca", None, FakeContext(tmp_path))
    encode = RowEncoder(tokenizer, "chat")
    form = re.compile(r"(?:### System:\n(.*?)\n\n)?### Human:\n(.*)\n\n### Assistant:\n", re.DOTALL)
    compared = 0
    for case in cases("prompt_mask"):
        given, expected = case["input"], case["output"]
        asked = form.fullmatch(given["prompt"])
        if asked is None or not given["completion"]:
            # A bare prompt without a template, and an empty completion, are no dialogues here.
            continue
        system = [] if asked[1] is None else [{"role": "system", "content": asked[1]}]
        row = encode(Dialogue([*system, {"role": "user", "content": asked[2]}], given["completion"])).cut(given["max_length"])
        ids = [*row.prompt, *row.reply]
        labels = [i if part >= 0 else NONE for i, part in zip(ids, row.every_part, strict=True)]
        if expected is None:
            assert set(labels) == {NONE}
        else:
            assert [ids, labels] == [expected["input_ids"], expected["labels"]]
        compared += 1
    assert compared >= 24
