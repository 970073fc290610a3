"""Templates by name: ours, a user's, and what they make of tokenizers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from omnitrain.errors import DataError, UsageError
from omnitrain_language.chat_templates import rendered_chat
from omnitrain_language.dialogues.presets import presets, written_in
from omnitrain_language.dialogues.rows import Dialogue, RowEncoder
from omnitrain_language.dialogues.templates import prompt_ids
from omnitrain_language.tokenizers import load_tokenizer
from omnitrain_testing.contexts import FakeContext
from omnitrain_testing.tokenizers import FAMILIES

TALK = [
    {"role": "system", "content": "be short"},
    {"role": "user", "content": "the mill"},
    {"role": "assistant", "content": "the old river"},
    {"role": "user", "content": "and then"},
]


def loaded(family: str, folder: Path, tokens: list[str] | None = None) -> Any:
    FAMILIES[family](folder)
    tokenizer = load_tokenizer(folder)
    tokenizer.add_special_tokens({"extra_special_tokens": tokens or []})
    return tokenizer


def test_ours_are_written_as_their_models_know_them(tmp_path: Path) -> None:
    every = sorted({token for preset in presets().values() for token in preset.tokens})
    tokenizer = loaded("dummy-prefix", tmp_path, every)
    texts = {}
    for name, preset in presets().items():
        tokenizer.chat_template = preset.jinja(tokenizer)
        texts[name] = rendered_chat(TALK, tokenizer, asks=True)
    assert texts["chatml"] == (
        "<|im_start|>system\nbe short<|im_end|>\n<|im_start|>user\nthe mill<|im_end|>\n<|im_start|>assistant\nthe old river"
        "<|im_end|>\n<|im_start|>user\nand then<|im_end|>\n<|im_start|>assistant\n"
    )
    assert texts["llama-3"] == (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nbe short<|eot_id|><|start_header_id|>user"
        "<|end_header_id|>\n\nthe mill<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nthe old river<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nand then<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    assert texts["orca"] == (
        "<s>### System:\nbe short\n\n### Human:\nthe mill\n\n### Assistant:\nthe old river</s>### Human:\nand then\n\n"
        "### Assistant:\n"
    )
    assert texts["vicuna"] == "<s>be short USER: the mill ASSISTANT: the old river</s>USER: and then ASSISTANT:"


@pytest.mark.parametrize("family", ["byte-bpe", "dummy-prefix", "holes", "chat"])
@pytest.mark.parametrize("name", ["orca", "vicuna", "alpaca"])
def test_a_row_is_the_whole_dialogue_encoded_at_once(family: str, name: str, tmp_path: Path) -> None:
    context = FakeContext(tmp_path / "work")
    tokenizer = written_in(loaded(family, tmp_path), name, None, context)
    row = RowEncoder(tokenizer, "chat", "all")(Dialogue(TALK, "a river runs"))
    whole = [*TALK, {"role": "assistant", "content": "a river runs"}]
    assert [*row.prompt, *row.reply] == tokenizer.apply_chat_template(whole, return_dict=False)
    assert row.prompt == prompt_ids(TALK, "chat", tokenizer)
    parts = row.every_part
    answered = [i for i, part in zip([*row.prompt, *row.reply], parts, strict=True) if part == 0]
    assert "".join(tokenizer.decode(answered).split()) == "theoldriverariverruns"
    assert [i for i, part in zip([*row.prompt, *row.reply], parts, strict=True) if part == 1] == [tokenizer.eos_token_id] * 2
    told = [event for event in context.events if event["event"] == "chat template"]
    assert len(told) == (family == "chat")


def test_a_users_file_adds_and_replaces(tmp_path: Path) -> None:
    own = {
        "mine": {"user": "Q {content}\n", "assistant": "A {content}{eos}"},
        "orca": {"user": "{content}?", "assistant": "{content}!"},
    }
    path = tmp_path / "own.json"
    path.write_text(json.dumps(own), "utf-8")
    tokenizer = loaded("byte-bpe", tmp_path)
    tokenizer.chat_template = presets(str(path))["mine"].jinja(tokenizer)
    assert rendered_chat(TALK[1:3], tokenizer, asks=False) == f"Q the mill\nA the old river{tokenizer.eos_token}"
    assert presets(str(path))["orca"].user == "{content}?"
    with pytest.raises(DataError, match=r"refuses messages of system.*no form for the role system"):
        rendered_chat(TALK, tokenizer, asks=True)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "JSON object of templates"),
        ("[]", "found list"),
        ('{"a": {"user": "x"}}', "'a': user and assistant"),
        ('{"a": {"user": "{content}", "assistant": "{content}", "sytem": ""}}', "has some of the keys"),
        ('{"a": {"user": "{content}", "assistant": 3}}', "are texts"),
        ('{"a": {"user": "{content}", "assistant": "{content}", "tokens": "<s>"}}', "list of texts"),
        ('{"chat": {"user": "{content}", "assistant": "{content}"}}', "a meaning of their own"),
    ],
)
def test_a_wrong_file_of_templates_is_named(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "own.json"
    path.write_text(text, "utf-8")
    with pytest.raises(DataError, match=rf"own\.json.*{fault}"):
        presets(str(path))


def test_a_begun_reply_is_gone_on_with(tmp_path: Path) -> None:
    tokenizer = loaded("chat", tmp_path)
    begun = [{"role": "user", "content": "the mill"}, {"role": "assistant", "content": "the old "}]
    ids = prompt_ids(begun, "chat", tokenizer, continues=True)
    assert tokenizer.decode(ids) == "<|im_start|>user\nthe mill<|im_end|>\n<|im_start|>assistant\nthe old "
    text = prompt_ids(begun, "Q: {prompt}\nA:", tokenizer, continues=True)
    assert tokenizer.decode(text) == "Q: the mill\nA: the old "
    with pytest.raises(UsageError, match="does not end with a message of the assistant"):
        prompt_ids(begun[:1], "chat", tokenizer, continues=True)
    tokenizer.chat_template += "{% if add_generation_prompt %}<think>\n{% endif %}"
    with pytest.raises(DataError, match="in another way than it asks for it"):
        prompt_ids(begun, "chat", tokenizer, continues=True)
