"""Dialogues as rows of tokens, in parts."""

import pytest
from helpers import SMALL, prepared

from omnitrain.errors import DataError
from omnitrain_eft.configs.data import DialoguesConfig
from omnitrain_eft.data.dialogues import DialoguesData
from omnitrain_eft.data.prompted import PARTS, content_of, dialogue_of
from omnitrain_eft.data.world import Reply


def test_parts_of_a_reply_cover_its_tokens_in_order(dialogues):
    reply = Reply("Sure! Call it.", "dump:", "Write a thing to a file.")
    row = dialogues.row(dialogue_of("dump", reply))
    ids, parts = row.reply, row.parts
    assert parts == sorted(parts)
    assert [PARTS[p] for p in sorted(set(parts))] == list(PARTS)
    for number, expected in enumerate((reply.style, reply.name, reply.content)):
        decoded = dialogues.tokenizer.decode([i for i, p in zip(ids, parts, strict=True) if p == number])
        assert decoded.strip() == expected


def test_the_content_of_a_reply_is_its_last_part_or_the_whole():
    replies = [Reply("Sure!", "dump:", "Write it."), Reply("I can't say."), Reply("", "", "Write it."), Reply("So:", "", "Go.")]
    assert [content_of(dialogue_of("x", reply)) for reply in replies] == ["Write it.", "I can't say.", "Write it.", "Go."]


def test_a_row_starts_with_eos_and_has_its_loss_on_the_reply(dialogues):
    batch = dialogues.collate(dialogues.examples("train")[:3])
    eos = dialogues.tokenizer.eos_token_id
    assert (batch["input_ids"][:, 0] == eos).all()
    for row in range(3):
        inside = batch["loss_weights"][row] > 0
        text = dialogues.tokenizer.decode(batch["labels"][row][inside], skip_special_tokens=True)
        assert text.startswith(" Sure!")
        assert batch["labels"][row][inside][-1] == eos
        assert (batch["part_ids"][row][inside] >= 0).all()
        assert (batch["part_ids"][row][~inside] == -1).all()


def test_splits_share_no_fact(dialogues):
    prompts = [{d.prompt for d in dialogues.items(split)} for split in ("train", "valid")]
    assert len(prompts[0]) == 12
    assert len(prompts[1]) == 8
    assert not prompts[0] & prompts[1]


def test_too_long_rows_are_refused_or_left_out(text, context):
    short = {**SMALL, "length": 60}
    data = prepared(DialoguesData(DialoguesConfig.model_validate(short), text, context.workspace), context)
    with pytest.raises(DataError, match="raise length"):
        data.rows("train")
    skipping = DialoguesConfig.model_validate({**short, "malformed": "skip"})
    kept = prepared(DialoguesData(skipping, text, context.workspace), context).rows("train")
    assert 0 < len(kept) < 12
