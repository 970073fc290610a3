"""Functions of the user's own, named by import strings."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from omnitrain.errors import UsageError


def load_function(reference: str) -> Callable[..., Any]:
    """Import what "module:attribute" names.

    Raises UsageError when it is not there or can't be called.
    """
    module, _, name = reference.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"{reference!r} can't be imported ({error}); expected module:function of an installed module"
        ) from error
    if not callable(found):
        raise UsageError(f"{reference!r} is a {type(found).__name__}, not a function")
    function: Callable[..., Any] = found
    return function
