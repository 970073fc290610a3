"""Answers of a function: for tests, and for teachers that are programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from omnitrain.api import load_reference
from omnitrain.errors import UsageError
from omnitrain_language.chat.budget import Budget
from omnitrain_language.chat.messages import Completion, Completions, Request
from omnitrain_language.chat_templates import Message

Function = Callable[[Sequence[Message]], str]


class Rule:
    """Completes requests by a function of their messages."""

    def __init__(self, reference: str) -> None:
        self._reference = reference
        try:
            self._function: Function = load_reference(reference)
        except (ValueError, ImportError, AttributeError) as error:
            raise UsageError(f"rule: {reference!r} can't be imported: {error}; write module:function") from error
        if not callable(self._function):
            raise UsageError(f"rule: {reference!r} is no function; write module:function")

    @property
    def identity(self) -> Mapping[str, Any]:
        """The name of the function."""
        return {"kind": "rule", "rule": self._reference}

    def complete(self, requests: Sequence[Request], keys: Sequence[str], budget: Budget) -> Completions:
        """Yield what the function returns. Raises UsageError for what is no text."""
        for place, request in enumerate(requests):
            text = self._function(request.messages)
            if not isinstance(text, str):
                raise UsageError(f"rule: {self._reference} returned {type(text).__name__}; expected text")
            yield place, Completion(text, "stop")
