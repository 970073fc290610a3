"""Prompts written from messages."""

import pytest

from omnitrain.errors import UsageError
from omnitrain_eft.data.prompts import messages_of, prompt_ids, render


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
