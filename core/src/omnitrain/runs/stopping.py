"""Requests to stop: SIGTERM, a closed terminal, Ctrl-C or a time limit."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

from omnitrain.errors import Stopped

INTERRUPTED_TWICE = 130


class StopRequest:
    """Turns the first signal into a request that stages poll; a second Ctrl-C ends the process at once.

    Used as a context manager; the previous handlers come back at its end.
    """

    def __init__(self, time_limit_s: float | None = None) -> None:
        self._deadline = None if time_limit_s is None else time.monotonic() + time_limit_s
        self._reason: str | None = None
        self._previous: dict[int, Any] = {}
        self._owner = os.getpid()

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                    continue  # nohup: the run is to outlive its terminal
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:
            return
        if self._reason is not None and number == signal.SIGINT:
            os._exit(INTERRUPTED_TWICE)
        self._reason = self._reason or ("Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name)

    def ask(self, reason: str) -> None:
        """Make the request without a signal."""
        self._reason = self._reason or reason

    @property
    def reason(self) -> str | None:
        """Why the run should stop, or None."""
        if self._reason is None and self._deadline is not None and time.monotonic() >= self._deadline:
            self._reason = "time limit"
        return self._reason

    def raise_if_asked(self) -> None:
        """Raise Stopped when there is a request."""
        if self.reason is not None:
            raise Stopped(f"Stopped on request ({self.reason}).")
