"""Prompts written from messages."""

import pytest

from omnitrain.errors import UsageError
from omnitrain_language.dialogues.messages import messages_of
from omnitrain_language.dialogues.templates import prompt_ids, prompt_text
from omnitrain_language.tokenizers import load_tokenizer
from omnitrain_testing.tokenizers import FAMILIES


def test_prompts_are_written_from_messages():
    talk = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Why?"},
    ]
    assert prompt_text(talk, "User: {prompt}\nBot:") == "Be short.\nUser: Hi\nBot: Hello.\nUser: Why?\nBot:"
    assert prompt_text(messages_of("Hi"), "plain") == "Hi"
    # A blank or a line end of the template is the one in front of replies.
    assert prompt_text(talk[1:], "User: {prompt}\nBot: ") == "User: Hi\nBot: Hello.\nUser: Why?\nBot:"
    assert prompt_text(talk[1:], "# {prompt}\n") == "# Hi\nHello.\n# Why?\n"
    for empty in ("", "  ", []):
        with pytest.raises(UsageError, match="a prompt is empty"):
            messages_of(empty)


def test_chat_needs_a_chat_template(tmp_path):
    FAMILIES["byte-bpe"](tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    with pytest.raises(UsageError, match="no chat template"):
        prompt_ids("Hi", "chat", tokenizer)
    tokenizer.chat_template = "{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}>"
    assert tokenizer.decode(prompt_ids("Hi", "chat", tokenizer)) == "[user] Hi>"
