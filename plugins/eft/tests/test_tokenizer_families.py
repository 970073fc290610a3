"""Rows of dialogues and composed text on tokenizers of the six families that people bring."""

import json

import pytest
import torch
from helpers import FACTS, config, gpt2

from omnitrain.errors import DataError
from omnitrain_eft.configs.data import DialoguesConfig
from omnitrain_eft.data.dialogues import DialoguesData
from omnitrain_eft.data.rows import PARTS, Dialogue, RowEncoder
from omnitrain_eft.data.world import Reply
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
REPLY = Reply("the old river", "runs", "past the mill")
END = PARTS.index("end")


def loaded(family, folder):
    FAMILIES[family](folder)
    return load_tokenizer(folder)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("template", [TEMPLATE, f"{TEMPLATE} ", "plain"])
def test_prompt_and_reply_are_the_ids_of_the_whole_text(family, template, tmp_path):
    tokenizer = loaded(family, tmp_path)
    asked = "the mill" if template == "plain" else "user the mill then"
    row = RowEncoder(tokenizer, template)(Dialogue("the mill", REPLY))
    whole = tokenizer(f"{asked} {REPLY.text}").input_ids
    eos = tokenizer.eos_token_id
    assert [*row.prompt, *row.reply] == [*(whole[:-1] if whole[-1] == eos else whole), eos]
    assert "".join(tokenizer.decode(row.prompt, skip_special_tokens=True).split()) == asked.replace(" ", "")
    assert len(row.parts) == len(row.reply)
    assert row.parts == sorted(row.parts)
    for number, text in enumerate((REPLY.style, REPLY.name, REPLY.content)):
        ids = [i for i, part in zip(row.reply, row.parts, strict=True) if part == number]
        assert "".join(tokenizer.decode(ids).split()) == text.replace(" ", "")
    assert [i for i, part in zip(row.reply, row.parts, strict=True) if part == END] == [eos]


@pytest.mark.parametrize("family", ["chat", "byte-bpe", "dummy-prefix"])
def test_a_chat_row_is_what_the_template_makes_of_the_dialogue(family, tmp_path):
    tokenizer = loaded(family, tmp_path)
    if family != "chat":
        end = tokenizer.eos_token
        tokenizer.chat_template = "{% for m in messages %}" + "{{ m.content }}" + end + "{% endfor %}"
    messages = [{"role": "user", "content": "the mill"}, {"role": "assistant", "content": REPLY.text}]
    row = RowEncoder(tokenizer, "chat")(Dialogue("the mill", REPLY))
    assert [*row.prompt, *row.reply] == tokenizer.apply_chat_template(messages, return_dict=False)
    assert row.prompt == tokenizer.apply_chat_template(messages[:1], add_generation_prompt=True, return_dict=False)
    ending = [i for i, part in zip(row.reply, row.parts, strict=True) if part == END]
    assert tokenizer.decode(ending) == ("<|im_end|>\n" if family == "chat" else tokenizer.eos_token)


def test_a_template_that_writes_the_past_in_another_way_is_refused(tmp_path):
    tokenizer = loaded("chat", tmp_path)
    tokenizer.chat_template += "{% if add_generation_prompt %}<think>\n{% endif %}"
    with pytest.raises(DataError, match=r"in another way than the same dialogue before the reply.*<think>"):
        RowEncoder(tokenizer, "chat")(Dialogue("the mill", REPLY))
    tokenizer.chat_template = tokenizer.chat_template.replace("message['content']", "message['content'][:3]")
    tokenizer.chat_template = tokenizer.chat_template.removesuffix("{% if add_generation_prompt %}<think>\n{% endif %}")
    with pytest.raises(DataError, match="changes the text of a reply, 'the old river runs past the mill'"):
        RowEncoder(tokenizer, "chat")(Dialogue("the mill", REPLY))
    tokenizer.chat_template = "{{ raise_exception('no system') }}"
    with pytest.raises(DataError, match="refuses messages of user: no system"):
        RowEncoder(tokenizer, "chat")(Dialogue("the mill", REPLY))


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
