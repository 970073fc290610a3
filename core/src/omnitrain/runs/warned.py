"""Warnings that code logs: a stage's events keep them, and a folder that is built once keeps those of its making."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

WARNING = "warning"


class _Hearing(logging.Handler):
    """Hands every warning on, each text once."""

    def __init__(self, receiver: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._receiver = receiver
        self._heard: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a warning on; the handler's lock is held, so that threads come one by one."""
        text = record.getMessage()
        if text not in self._heard:
            self._heard.add(text)
            self._receiver(text)


@contextmanager
def warnings_to(receiver: Callable[[str], None]) -> Iterator[None]:
    """Let a receiver have what any module logs as a warning, or worse, while the block runs, each text once."""
    hearing, root = _Hearing(receiver), logging.getLogger()
    root.addHandler(hearing)
    try:
        yield
    finally:
        root.removeHandler(hearing)


def warn_again(texts: list[str]) -> None:
    """Log warnings of an earlier time, since what they are about is used now."""
    for text in texts:
        logging.getLogger("omnitrain").warning("%s", text)
