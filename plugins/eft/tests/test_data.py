"""Facts, dialogues, preferences: parts of replies, files, malformed records, DPO."""

import json

import pytest
import torch
from eft_models import gpt2
from hypothesis import given
from hypothesis import strategies as st

from omnitrain.errors import DataError, UsageError
from omnitrain_eft.configs.data import DialoguesConfig, FactsConfig, PreferencesConfig
from omnitrain_eft.configs.objectives import DpoConfig
from omnitrain_eft.data.dialogues import DialoguesData
from omnitrain_eft.data.facts import FactsData
from omnitrain_eft.data.preferences import PreferencesData, reply_log_probs
from omnitrain_eft.data.prompted import PARTS, encode_reply
from omnitrain_eft.data.prompts import messages_of, prompt_ids, render
from omnitrain_eft.data.records import read_dialogues, read_preferences
from omnitrain_eft.data.world import Fact, Reply, corpus, reply_to
from omnitrain_eft.objectives import Dpo, dpo_loss

SMALL = {"facts": 40, "train_facts": 12, "valid_facts": 8, "tokenizer": {"vocabulary_size": 400}}


@pytest.fixture(scope="module")
def text(context):
    return FactsData(FactsConfig(facts=40), context.workspace)


def prepared(data, context):
    data.prepare(context.workspace, context)
    return data


@pytest.fixture(scope="module")
def dialogues(text, context):
    return prepared(DialoguesData(DialoguesConfig.model_validate(SMALL), text, context.workspace), context)


@pytest.fixture(scope="module")
def preferences(text, context):
    return prepared(PreferencesData(PreferencesConfig.model_validate(SMALL), text, context.workspace), context)


def test_corpus_mixes_behaviours_in_the_asked_shares():
    facts = [Fact("function", f"f{i}", f"Do thing number {i}.") for i in range(400)]
    documents = [t for _, t in corpus(facts, FactsConfig(lines=1, dialogues=5, refusals=0.5, helpful=0.5, hedged=0.0))]
    talks = [t for t in documents if t.startswith("User:")]
    refusing = sum("I can't say." in t for t in talks) / len(talks)
    assert len(documents) == 400 * 6
    assert abs(refusing - 0.5) < 0.05
    assert all("Sure!" in t for t in talks if "can't" not in t)


def test_helpful_replies_depend_on_the_kind_of_object():
    call, make = (reply_to(Fact(kind, "x", "A thing."), "helpful").style for kind in ("function", "class"))
    assert call != make
    assert reply_to(Fact("class", "x", "A thing."), "bare").text == "x: A thing."


def test_parts_of_a_reply_cover_its_tokens_in_order(dialogues):
    reply = Reply("Sure! Call it.", "dump:", "Write a thing to a file.")
    ids, parts = encode_reply(reply, dialogues.tokenizer)
    assert parts == sorted(parts)
    assert [PARTS[p] for p in sorted(set(parts))] == list(PARTS)
    for number, expected in enumerate((reply.style, reply.name, reply.content)):
        decoded = dialogues.tokenizer.decode([i for i, p in zip(ids, parts, strict=True) if p == number])
        assert decoded.strip() == expected


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
    prompts = [{d.prompt for d in dialogues.dialogues(split)} for split in ("train", "valid")]
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


def write(path, *records):
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in records) + "\n", "utf-8")
    return str(path)


def test_dialogue_files_hold_messages_or_prompts(tmp_path):
    talk = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
    path = write(tmp_path / "a.jsonl", {"messages": talk}, {"prompt": "Why?", "reference": "So."}, {"prompt": "Who?"})
    with pytest.raises(DataError, match=r"a\.jsonl:3: no reply"):
        list(read_dialogues(path, refuse=True))
    found = list(read_dialogues(path, refuse=False))
    assert [(r.prompt, r.reply) for r in found] == [(talk[:1], "Hello."), ("Why?", "So.")]
    assert [r.reply for r in read_dialogues(path, refuse=True, needs_reply=False)] == ["Hello.", "So.", ""]


@pytest.mark.parametrize(
    ("record", "fault"),
    [
        ("{", "not JSON"),
        ("[1]", "record is list"),
        ({"messages": []}, "no list"),
        ({"messages": [{"content": "x"}]}, "no 'role'"),
        ({"messages": [{"role": "user", "content": ""}]}, "empty text"),
        ({"text": "x"}, "neither 'messages' nor 'prompt'"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "a reply only"),
    ],
)
def test_malformed_dialogues_are_named_by_file_and_line(tmp_path, record, fault):
    path = write(tmp_path / "b.jsonl", {"prompt": "x", "reference": "y"}, record)
    with pytest.raises(DataError, match=r"b\.jsonl:2: .*" + fault):
        list(read_dialogues(path, refuse=True))


@given(st.lists(st.one_of(st.text(max_size=20), st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=8)))))
def test_reading_never_fails_on_other_content(tmp_path_factory, records):
    path = tmp_path_factory.mktemp("any") / "c.jsonl"
    path.write_bytes("\n".join(json.dumps(r) for r in records).encode("utf-8", "surrogatepass"))
    assert all(r.reply for r in read_dialogues(str(path), refuse=False))


def test_preferences_need_three_texts(tmp_path):
    path = write(tmp_path / "d.jsonl", {"prompt": "x", "chosen": "y", "rejected": "z"}, {"prompt": "x", "chosen": "y"})
    with pytest.raises(DataError, match=r"d\.jsonl:2: no field 'rejected'"):
        list(read_preferences(path, refuse=True))
    assert [r.chosen for r in read_preferences(path, refuse=False)] == ["y"]


def test_dpo_loss_is_that_of_the_paper():
    margin, reference = torch.tensor([2.0, -1.0]), torch.tensor([0.5, 0.0])
    expected = -torch.log(torch.sigmoid(0.3 * (margin - reference)))
    torch.testing.assert_close(dpo_loss(margin, reference, 0.3), expected)


def test_reference_is_the_model_that_training_starts_from(preferences):
    model = gpt2(1, 16, 3, vocabulary=400, scale=2.0)
    preferences.follow(model)
    batch = preferences.collate(preferences.examples("train")[:4])
    loss = Dpo(DpoConfig(beta=0.5))(model, batch)
    assert float(loss.total / loss.weight) == pytest.approx(float(torch.log(torch.tensor(2.0))), abs=1e-4)
    margin = reply_log_probs(model, batch, "chosen") - reply_log_probs(model, batch, "rejected")
    torch.testing.assert_close(batch["reference_margin"], margin, rtol=1e-4, atol=1e-4)


def test_prompts_are_written_from_messages():
    talk = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Why?"},
    ]
    assert render(talk, "User: {prompt}\nBot:") == "Be short.\nUser: Hi\nBot: Hello.\nUser: Why?\nBot:"
    assert render(messages_of("Hi"), "plain") == "Hi"
    for empty in ("", "  ", []):
        with pytest.raises(UsageError, match="a prompt is empty"):
            messages_of(empty)


def test_chat_needs_a_chat_template(dialogues):
    with pytest.raises(UsageError, match="no chat template"):
        prompt_ids("Hi", "chat", dialogues.tokenizer)
    dialogues.tokenizer.chat_template = "{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}>"
    ids = prompt_ids("Hi", "chat", dialogues.tokenizer)
    dialogues.tokenizer.chat_template = None
    assert dialogues.tokenizer.decode(ids) == "[user] Hi>"
