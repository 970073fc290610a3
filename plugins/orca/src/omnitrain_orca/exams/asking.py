"""Put questions to any model that writes text: in its chat template where it has one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from omnitrain.api import Generates
from omnitrain.errors import UsageError
from omnitrain_language.dialogues.templates import prompt_ids
from omnitrain_orca.configs.evaluators import AsksConfig, WritesConfig


def messages_for(prompt: str, system: str) -> list[dict[str, str]]:
    """Return the messages of a question."""
    before = [{"role": "system", "content": system}] if system else []
    return [*before, {"role": "user", "content": prompt}]


def template_for(config: AsksConfig, tokenizer: Any) -> str:
    """Return "chat" or "plain". Raises UsageError for a chat template that is not there."""
    has_template = bool(getattr(tokenizer, "chat_template", None))
    if config.template == "chat" and not has_template:
        raise UsageError("template chat: the model's tokenizer has no chat template; set template: plain")
    return "chat" if has_template and config.template != "plain" else "plain"


def asked(prompts: Sequence[str], config: AsksConfig, tokenizer: Any) -> list[Any]:
    """Return what a predictor is given for each question: ids in a chat template, else text."""
    if template_for(config, tokenizer) == "chat":
        return [prompt_ids(messages_for(prompt, config.system), "chat", tokenizer) for prompt in prompts]
    return [f"{config.system}\n{prompt}" if config.system else prompt for prompt in prompts]


def responses(predictor: Any, prompts: Sequence[str], config: WritesConfig, name: str) -> list[str]:
    """Return a model's response to each question, written greedily, questions of like length together.

    Raises UsageError for a model that can't write.
    """
    if not isinstance(predictor, Generates):
        raise UsageError(f"{name}: the model can't write text; name one that can, such as language/causal")
    given = asked(prompts, config, getattr(predictor, "tokenizer", None))
    order = sorted(range(len(given)), key=lambda place: len(given[place]))
    settings: dict[str, Any] = {"max_new_tokens": config.max_new_tokens, "temperature": 0.0}
    if hasattr(predictor, "tokenizer"):
        settings["batch_size"] = config.batch_size
    written = predictor.generate_text([given[place] for place in order], **settings)
    found = [""] * len(given)
    for place, text in zip(order, written, strict=True):
        found[place] = text
    return found
