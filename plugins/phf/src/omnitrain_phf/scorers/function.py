"""A function of the user's own as a scorer, named by an import string."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from omnitrain.api import load_reference
from omnitrain.errors import DataError, UsageError
from omnitrain_phf.configs.scorers import CallableConfig


class FunctionScorer:
    """A function of the user's own."""

    def __init__(self, config: CallableConfig) -> None:
        self._function = load_function(config.function)
        self._name = config.function

    def score(self, texts: Sequence[str]) -> list[float]:
        """Call the function.

        Raises DataError where it gives another number of scores than texts, or no numbers.
        """
        found = [float(value) for value in self._function(list(texts))]
        if len(found) != len(texts) or any(not 0 <= value < float("inf") for value in found):
            raise DataError(f"scorer.function {self._name}: expected {len(texts)} numbers of 0 or more, found {found[:3]}...")
        return found

    @staticmethod
    def versions(config: CallableConfig) -> dict[str, str]:
        """Return what the user says that it is."""
        return {config.function: config.version}

    @staticmethod
    def notes(config: CallableConfig) -> list[str]:
        """Return nothing."""
        return []


def load_function(reference: str) -> Callable[..., Any]:
    """Import what "module:attribute" names.

    Raises UsageError when it is not there or can't be called.
    """
    try:
        found: Any = load_reference(reference)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise UsageError(
            f"{reference!r} can't be imported ({error}); expected module:function of an installed module"
        ) from error
    if not callable(found):
        raise UsageError(f"{reference!r} is a {type(found).__name__}, not a function")
    function: Callable[..., Any] = found
    return function
