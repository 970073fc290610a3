"""Words that code without a run at hand has for the user: a cache built again, a file too many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from omnitrain.streams import remark

_receivers: list[Callable[[str], None]] = []


def tell(text: str) -> None:
    """Say something aloud: through the run that is under way in this process, else on standard error."""
    if _receivers:
        _receivers[-1](text)
    else:
        remark(f"note: {text}")


@contextmanager
def told_to(receiver: Callable[[str], None]) -> Iterator[None]:
    """Let a receiver have what is told while the block runs."""
    _receivers.append(receiver)
    try:
        yield
    finally:
        _receivers.remove(receiver)
