"""Work of libraries that do not return to Python for long: done beside the main thread, which can be asked to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
_LOOK_S = 0.2


class Work(Generic[T]):
    """A call in a thread of its own. What is abandoned goes on unseen and ends with the process."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._found: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._found.append(self._call())
        except BaseException as error:  # raised again by `result`
            self._error = error

    @property
    def running(self) -> bool:
        """Whether the call has not returned yet."""
        return self._thread.is_alive()

    def result(self, check: Callable[[], object]) -> T:
        """Wait for the call and return what it found, or raise what it raised.

        check: called several times a second; what it raises is raised, and the call abandoned.
        """
        while self._thread.is_alive():
            self._thread.join(_LOOK_S)
            check()
        if self._error is not None:
            raise self._error
        return self._found[0]
