"""Rows of dialogues on tokenizers of the six families that people bring."""

import pytest

from omnitrain.errors import DataError
from omnitrain_language.dialogues.rows import Dialogue, RowEncoder
from omnitrain_language.tokenizers import load_tokenizer
from omnitrain_testing.tokenizers import FAMILIES

TEMPLATE = "user {prompt} then"
PARTS = ("the old river", "runs", "past the mill")
REPLY = " ".join(PARTS)
DIALOGUE = Dialogue("the mill", REPLY, (13, 18, 32))
END = len(PARTS)


def loaded(family, folder):
    FAMILIES[family](folder)
    return load_tokenizer(folder)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("template", [TEMPLATE, f"{TEMPLATE} ", "plain"])
def test_prompt_and_reply_are_the_ids_of_the_whole_text(family, template, tmp_path):
    tokenizer = loaded(family, tmp_path)
    asked = "the mill" if template == "plain" else "user the mill then"
    row = RowEncoder(tokenizer, template)(DIALOGUE)
    whole = tokenizer(f"{asked} {REPLY}").input_ids
    eos = tokenizer.eos_token_id
    assert [*row.prompt, *row.reply] == [*(whole[:-1] if whole[-1] == eos else whole), eos]
    assert "".join(tokenizer.decode(row.prompt, skip_special_tokens=True).split()) == asked.replace(" ", "")
    assert len(row.parts) == len(row.reply)
    assert row.parts == sorted(row.parts)
    for number, text in enumerate(PARTS):
        ids = [i for i, part in zip(row.reply, row.parts, strict=True) if part == number]
        assert "".join(tokenizer.decode(ids).split()) == text.replace(" ", "")
    assert [i for i, part in zip(row.reply, row.parts, strict=True) if part == END] == [eos]


@pytest.mark.parametrize("family", ["chat", "byte-bpe", "dummy-prefix"])
def test_a_chat_row_is_what_the_template_makes_of_the_dialogue(family, tmp_path):
    tokenizer = loaded(family, tmp_path)
    if family != "chat":
        end = tokenizer.eos_token
        tokenizer.chat_template = "{% for m in messages %}" + "{{ m.content }}" + end + "{% endfor %}"
    messages = [{"role": "user", "content": "the mill"}, {"role": "assistant", "content": REPLY}]
    row = RowEncoder(tokenizer, "chat")(DIALOGUE)
    assert [*row.prompt, *row.reply] == tokenizer.apply_chat_template(messages, return_dict=False)
    assert row.prompt == tokenizer.apply_chat_template(messages[:1], add_generation_prompt=True, return_dict=False)
    ending = [i for i, part in zip(row.reply, row.parts, strict=True) if part == END]
    assert tokenizer.decode(ending) == ("<|im_end|>\n" if family == "chat" else tokenizer.eos_token)


def test_a_template_that_writes_the_past_in_another_way_is_refused(tmp_path):
    tokenizer = loaded("chat", tmp_path)
    tokenizer.chat_template += "{% if add_generation_prompt %}<think>\n{% endif %}"
    with pytest.raises(DataError, match=r"in another way than the same dialogue before the reply.*<think>"):
        RowEncoder(tokenizer, "chat")(DIALOGUE)
    tokenizer.chat_template = tokenizer.chat_template.replace("message['content']", "message['content'][:3]")
    tokenizer.chat_template = tokenizer.chat_template.removesuffix("{% if add_generation_prompt %}<think>\n{% endif %}")
    with pytest.raises(DataError, match="changes the text of a reply, 'the old river runs past the mill'"):
        RowEncoder(tokenizer, "chat")(DIALOGUE)
    tokenizer.chat_template = "{{ raise_exception('no system') }}"
    with pytest.raises(DataError, match="refuses messages of user, assistant: no system"):
        RowEncoder(tokenizer, "chat")(DIALOGUE)
