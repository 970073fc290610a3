"""What a component raises where it is put together with one that it was not made for, as a sentence that names the two."""

from __future__ import annotations

from pathlib import Path

from omnitrain.engine.memory import is_shortage
from omnitrain.errors import PluginError

UNLIKE = (TypeError, AttributeError, LookupError)
"""Raised where one lacks what the other asks for, whenever that is."""
AT_FIRST = (*UNLIKE, ValueError, RuntimeError)
"""Raised where the two meet for the first time, as on shapes; later these have other causes."""
_LONGEST = 300


def explain(error: Exception, component: str, on: object) -> None:
    """Raise PluginError for what a component raised on another one; return for a shortage of memory, told elsewhere.

    component: as the subject of the sentence. on: the model or predictor that it was given.
    """
    if is_shortage(error):
        return
    reason = " ".join(str(error).split())
    told = f"{type(error).__name__}{': ' if reason else ''}{reason[:_LONGEST].rstrip('.')}{_place(error)}"
    notes = " ".join(getattr(error, "__notes__", ()))
    raise PluginError(
        f"{component} can't work with {_named(on)} ({told}): take one that was made for it; where they belong together it is "
        f"a fault of that plugin, and --traceback shows where.{' ' if notes else ''}{notes}"
    ) from error


def _named(partner: object) -> str:
    return f"{type(partner).__module__}.{type(partner).__qualname__}"


def _place(error: Exception) -> str:
    """Say which line raised it, for the author of the component."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f", {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
