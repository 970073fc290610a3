"""Chat templates by name: data of this package and of users' files, put on a tokenizer as its own chat template."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omnitrain.api import Context, reading, user_path
from omnitrain.errors import DataError, UsageError
from omnitrain_language.encoding import start_ids
from omnitrain_language.tokenizers import starts_once_saved

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_CONTENT = "{content}"
_ROLES = ("system", "user", "assistant")
_KEYS = {"begin", *_ROLES, "tokens"}


@dataclass(frozen=True)
class Preset:
    """How a dialogue is written. system, user, assistant: a message of the role, with {content}; a role of "" is refused.

    begin: stands in front of all. {start} is what the tokenizer puts in front of a text, {eos} its end of sequence. What of
    `assistant` stands before {content} asks for a reply, what stands behind ends it. tokens: what must be one token each.
    """

    name: str
    user: str
    assistant: str
    system: str = ""
    begin: str = ""
    tokens: tuple[str, ...] = ()

    def jinja(self, tokenizer: PreTrainedTokenizerFast) -> str:
        """Return the chat template for a tokenizer. Raises UsageError where it lacks the tokens."""
        known = tokenizer.get_vocab()
        missing = [token for token in self.tokens if token not in known]
        if missing:
            raise UsageError(
                f"template {self.name}: the tokenizer has no token {', '.join(missing)}: add them with tokenizer.extra_tokens: "
                f"{json.dumps(missing)}, or take a template that is written in plain text"
            )
        first = [int(tokenizer.eos_token_id)] if starts_once_saved(tokenizer) else start_ids(tokenizer)
        named = {"{start}": "".join(map(str, tokenizer.convert_ids_to_tokens(first))), "{eos}": str(tokenizer.eos_token)}
        # A blank that a template ends its question with belongs to the reply, of which most tokenizers make it a part.
        ask = self.assistant.partition(_CONTENT)[0].rstrip(" ")
        cases = "".join(self._case(role, named, number == 0) for number, role in enumerate(_ROLES))
        unknown = "{% else %}{{ raise_exception('no form for the role ' + message['role']) }}{% endif %}"
        asks = f"{{% if add_generation_prompt %}}{_literal(ask, named)}{{% endif %}}"
        return f"{_literal(self.begin, named)}{{% for message in messages %}}{cases}{unknown}{{% endfor %}}{asks}"

    def _case(self, role: str, named: Mapping[str, str], first: bool) -> str:
        written: str = getattr(self, role)
        before, _, behind = written.partition(_CONTENT)
        told = f"message['role'] == '{role}'" if written else "false"
        content = "{{ message['content'] }}"
        return f"{{% {'if' if first else 'elif'} {told} %}}{_literal(before, named)}{content}{_literal(behind, named)}"


def _literal(text: str, named: Mapping[str, str]) -> str:
    for name, value in named.items():
        text = text.replace(name, value)
    return f"{{{{ {text!a} }}}}" if text else ""


def _preset(place: str, name: str, value: Any) -> Preset:
    """Check one entry of a file of presets. Raises DataError that names it."""
    fault = None
    if not isinstance(value, dict) or not set(value) <= _KEYS:
        fault = f"an entry has some of the keys {', '.join(sorted(_KEYS))}"
    elif any(not isinstance(value.get(role, ""), str) for role in ("begin", *_ROLES)):
        fault = f"begin, {', '.join(_ROLES)} are texts"
    elif any(value.get(role, "").count(_CONTENT) != 1 for role in _ROLES if value.get(role) or role != "system"):
        fault = f"user and assistant, and system where there is one, hold {_CONTENT} once"
    elif not isinstance(value.get("tokens", []), list) or not all(isinstance(t, str) for t in value.get("tokens", [])):
        fault = "tokens is a list of texts"
    elif name in ("plain", "chat") or "{" in name:
        fault = "the names plain and chat, and texts with {, have a meaning of their own"
    if fault:
        raise DataError(f"{place}: template {name!r}: {fault}")
    texts: dict[str, str] = {key: text for key, text in value.items() if key != "tokens"}
    return Preset(name, tokens=tuple(value.get("tokens", ())), **texts)


def _read(place: str, text: str) -> dict[str, Preset]:
    with reading(place, "a JSON object of templates by name"):
        found = json.loads(text)
        if not isinstance(found, dict):
            raise DataError(f"{place}: expected a JSON object of templates by name, found {type(found).__name__}")
    return {name: _preset(place, name, value) for name, value in found.items()}


def presets(own: str | None = None) -> dict[str, Preset]:
    """Return the templates by name: ours, and behind them those of a user's .json file, which may replace ours.

    Raises DataError for a file that is none.
    """
    found = _read("presets.json", (files(__package__) / "presets.json").read_text("utf-8"))
    if own is None:
        return found
    path: Path = user_path(own)
    with reading(path, "a JSON object of templates by name"):
        text = path.read_text("utf-8")
    return found | _read(str(path), text)


def written_in(tokenizer: PreTrainedTokenizerFast, template: str, own: str | None, context: Context) -> PreTrainedTokenizerFast:
    """Return a tokenizer that has the chat template which `template` names; with it the tokenizer is saved beside a model.

    Other templates leave it as it is. Raises UsageError for `chat` where there is no chat template, and for missing tokens.
    """
    found = presets(own)
    if template in found:
        before, after = tokenizer.chat_template, found[template].jinja(tokenizer)
        if before and before != after:
            context.event("chat template", taken=template, instead_of="the tokenizer's own")
        tokenizer.chat_template = after
    elif template == "chat" and not tokenizer.chat_template:
        raise UsageError(
            "template chat: the tokenizer has no chat template of its own; set template to one of "
            f"{', '.join(found)}, to plain, or to a text with {{prompt}}"
        )
    return tokenizer
