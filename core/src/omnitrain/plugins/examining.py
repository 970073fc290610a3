"""The helper process that looks at descriptions of plugins, each in a process of its own.

It takes down what that one prints, ends it with its group when its time is over, and tells how it ended without an answer.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import selectors
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from omnitrain.plugins.answering import Answer, answer, broken, ending
from omnitrain.plugins.stamps import sources, stamps

_KEPT = 4000


@dataclass
class _Looked:
    """One process that looks at one description. ends: of the two pipes from it that are open, and what has come."""

    pid: int
    module: str
    deadline: float
    answered: bytearray = field(default_factory=bytearray)
    printed: bytearray = field(default_factory=bytearray)
    characters: int = 0
    ends: dict[int, bytearray] = field(default_factory=dict)

    def take(self, end: int) -> None:
        """Take what has come; an end without more is closed. Of what is printed the first part is kept."""
        try:
            piece = os.read(end, 1 << 16)
        except BlockingIOError:
            return
        held = self.ends[end]
        if not piece:
            del self.ends[end]
            os.close(end)
        elif held is self.printed:
            self.characters += len(piece)
            held += piece[: max(0, _KEPT - len(held))]
        else:
            held += piece

    def over(self) -> bool:
        """Whether the process has ended; it is still to be waited for."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def end(self) -> int:
        """End the process and what it has started, as far as that stayed in its group; return its exit code."""
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(self.pid, signal.SIGKILL)
        for end in list(self.ends):
            self.take(end)  # what is there already; who else holds the other end is not waited for
        for end in self.ends:
            os.close(end)
        self.ends.clear()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def main(told: dict[str, Any]) -> None:
    """Be the helper process: look at all, some at a time, and print the answers."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    import pluggy  # noqa: F401 - once here, so that the forks have what every description needs

    import omnitrain.api.hooks  # noqa: F401

    points: list[tuple[str, str]] = [(name, module) for name, module in told["points"]]
    found = dict(_look_at_all(points, told["seconds"]))
    sys.stdout.write(json.dumps([found[i] for i in range(len(points))]))
    sys.stdout.flush()
    os._exit(0)


def _look_at_all(points: Sequence[tuple[str, str]], seconds: float) -> Iterator[tuple[int, Answer]]:
    waiting = list(reversed(list(enumerate(points))))
    at_once = max(8, 2 * (os.cpu_count() or 1))
    running: dict[int, _Looked] = {}
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                i, (name, module) = waiting.pop()
                running[i] = _start(name, module, seconds)
            _take_what_comes(list(running.values()))
            for i, looked in list(running.items()):
                over = looked.over()
                if over or time.monotonic() >= looked.deadline:
                    del running[i]
                    yield i, _outcome(looked, over, seconds)
    finally:
        for looked in running.values():
            looked.end()


def _start(name: str, module: str, seconds: float) -> _Looked:
    (answered, told), (output, printed) = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_looked_at(name, module, told, printed)
    os.close(told)
    os.close(printed)
    looked = _Looked(pid, module, time.monotonic() + seconds)
    looked.ends = {answered: looked.answered, output: looked.printed}
    for end in looked.ends:
        os.set_blocking(end, False)
    return looked


def _be_looked_at(name: str, module: str, told: int, printed: int) -> None:
    """Be the process of one plugin. It ends here without waiting for threads that the import began."""
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for number, place in enumerate((os.open(os.devnull, os.O_RDONLY), printed, printed)):
            os.dup2(place, number)
        text = json.dumps(answer(name, module)).encode()
        while text:
            text = text[os.write(told, text) :]
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(BaseException):  # an import may have closed or replaced them
                stream.flush()
        code = 0
    finally:
        os._exit(code)


def _take_what_comes(looked: Sequence[_Looked]) -> None:
    """Take what comes from any of them, waiting a moment where nothing does."""
    with selectors.DefaultSelector() as selector:
        for one in looked:
            for end in one.ends:
                selector.register(end, selectors.EVENT_READ, one)
        # Without ends left to read, processes that are about to end are waited for a little.
        for key, _ in selector.select(0.05 if selector.get_map() else 0.002):
            key.data.take(key.fd)


def _outcome(looked: _Looked, over: bool, seconds: float) -> Answer:
    """Return the answer of a process that is over, or whose time is."""
    code = looked.end()
    try:
        found: Answer = json.loads(looked.answered)
    except ValueError:
        reason = f"its import {ending(code).replace('ended', 'ended the process', 1)}"
        found = broken(reason if over else f"its import took longer than {seconds:g} s")
        found["stamps"] = stamps(sources(looked.module))
    return {**found, "printed": looked.printed.decode("utf-8", "replace"), "characters": looked.characters}
