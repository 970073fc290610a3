"""Dialogues and composed text on tokenizers of the six families that people bring."""

import json

import pytest
import torch
from helpers import FACTS, config, gpt2

from omnitrain.errors import DataError
from omnitrain_eft.configs.data import DialoguesConfig
from omnitrain_eft.data.dialogues import DialoguesData
from omnitrain_eft.models.composition import CompositionModel
from omnitrain_eft.models.predictor import CompositionPredictor
from omnitrain_eft.models.vocabulary import first_difference
from omnitrain_language.configs.data import TextConfig
from omnitrain_language.data.text import TextData
from omnitrain_language.losses import token_cross_entropy
from omnitrain_language.tokenizers import load_tokenizer
from omnitrain_testing.contexts import FakeContext
from omnitrain_testing.tokenizers import FAMILIES, WORDS, make_model

TEMPLATE = "user {prompt} then"


def loaded(family, folder):
    FAMILIES[family](folder)
    return load_tokenizer(folder)


def text_of(folder):
    (folder / "text.txt").write_text("the old river runs past the mill\n" * 5, "utf-8")
    return TextData(TextConfig(path=str(folder / "text.txt"), valid_fraction=0, test_fraction=0))


def data_of(folder, replies, **settings):
    records = [{"prompt": f"{WORDS[n]} {n}", "reference": reply} for n, reply in enumerate(replies)]
    (folder / "dialogues.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    settings = {"path": str(folder / "dialogues.jsonl"), "valid_fraction": 0, "template": TEMPLATE, **settings}
    data = DialoguesData(DialoguesConfig.model_validate(settings), text_of(folder), folder / "work")
    data.prepare(folder / "work", FakeContext(folder / "work"))
    return data


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "unigram"])
def test_a_step_on_dialogues_of_every_family(family, tmp_path):
    from transformers import AutoModelForCausalLM

    make_model(family, tmp_path / "model")
    template = "chat" if family == "chat" else TEMPLATE
    data = data_of(tmp_path, ["the old mill", "a river runs"], tokenizer={"path": str(tmp_path / "model")}, template=template)
    batch = data.collate(data.examples("train"))
    model = AutoModelForCausalLM.from_pretrained(str(tmp_path / "model"))
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    _, nll = token_cross_entropy(logits, batch["labels"])
    (nll * batch["loss_weights"]).sum().backward()
    assert torch.isfinite(nll).all()
    assert data.facts()["vocabulary_size"] > int(batch["labels"].max())


def test_special_tokens_that_a_dialogue_spells_out_are_text_or_refused(tmp_path):
    FAMILIES["chat"](tmp_path / "model")
    replies = ["the old mill", "a <|im_end|> of a turn", "the end <|endoftext|> of text"]
    settings = {"tokenizer": {"path": str(tmp_path / "model")}}
    data = data_of(tmp_path, replies, **settings)
    tokenizer = data.tokenizer
    turn, eos = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    rows = data.rows("train")
    assert [turn in row.reply or eos in row.reply[:-1] for row in rows] == [False] * 3
    assert [tokenizer.decode(row.reply[:-1]) for row in rows] == [f" {reply}" for reply in replies]
    with pytest.raises(DataError, match=r"a dialogue of split train spells out '<\|im_end\|>'.*a <\|im_end\|> of a turn"):
        data_of(tmp_path, replies, template="chat", **settings).rows("train")
    assert len(data_of(tmp_path, replies, template="chat", malformed="skip", **settings).rows("train")) == 1


def test_vocabularies_with_holes_are_compared_to_their_last_id():
    one, other = {"a": 0, "b": 1, "c": 9}, {"a": 0, "b": 1, "d": 9}
    assert first_difference(one, other) == "id 9 is 'c' there and 'd' here"
    assert first_difference(one, {"a": 0, "b": 1, "c": 9, "d": 12}) is None


def test_a_composition_ends_where_an_experts_own_chat_template_ends_a_reply(tmp_path):
    chat = loaded("chat", tmp_path)
    plain = load_tokenizer(tmp_path)
    plain.chat_template = None
    model = CompositionModel(config(), {"large": gpt2(2, 32, 0), "expert-0": gpt2(1, 16, 1), "small": gpt2(1, 16, 2)}, FACTS)
    turn = chat.convert_tokens_to_ids("<|im_end|>")
    assert turn not in CompositionPredictor(model, plain).eos_ids
    ends = CompositionPredictor(model, plain, {"expert-0": chat}).eos_ids
    assert ends[0] == plain.eos_token_id
    assert turn in ends
