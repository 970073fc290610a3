"""How full `chat` keeps the limits of a server, beside the limit itself and asking one by one.

The server stands on this machine and counts by a window of its own. A clock that runs faster makes its minute a few seconds;
waits and the times of answers shrink alike.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from importlib import import_module
from importlib.util import find_spec
from threading import Lock
from typing import Any, Literal

import numpy as np

from omnitrain.api import Bar, Bench
from omnitrain_language.chat.budget import Budget
from omnitrain_language.chat.endpoint import Clock, Endpoint
from omnitrain_language.chat.limits import MINUTE_S
from omnitrain_language.chat.messages import ask_for
from omnitrain_language.chat.replies import Outcome
from omnitrain_language.configs.chat import ChatConfig, LimitsConfig

Kind = Literal["requests", "tokens"]

SERVER = "omnitrain_testing.chat_server"  # where it is installed; packages import no other one beside the core

SPEED = 10.0  # seconds of the fast clock in one of ours
MINUTES = 2  # over which a rate is taken, behind the first
ANSWER_S = 2.0  # time of the fast clock that an answer takes
ANSWERED, MOST = 64, 1024  # tokens of a usual answer, and of the longest that is allowed
LIMITS: dict[Kind, tuple[int, int]] = {"requests": (240, 1_000_000), "tokens": (1_000, 60_000)}  # (requests, tokens)


class FastClock(Clock):
    """The time, SPEED times as fast."""

    def now(self) -> float:
        """Return seconds of the fast clock."""
        return time.monotonic() * SPEED

    def wait(self, running: Sequence[Future[Outcome]], seconds: float) -> None:
        """Return when one is done, or after so many seconds of the fast clock."""
        super().wait(running, seconds / SPEED)


class Counter:
    """A server's own account: takes what keeps its limits in the last minute, and tells the seconds to wait for the rest."""

    def __init__(self, requests: int, tokens: int) -> None:
        self._limits, self._lock = (requests, tokens), Lock()
        self._window: deque[tuple[float, int]] = deque()
        self.taken: list[tuple[float, int]] = []

    def take(self, now: float, tokens: int) -> float:
        """Count a request and return 0, or return the seconds until there is room."""
        with self._lock:
            while self._window and now - self._window[0][0] >= MINUTE_S:
                self._window.popleft()
            used = sum(found for _, found in self._window)
            if len(self._window) < self._limits[0] and used + tokens <= self._limits[1]:
                self._window.append((now, tokens))
                self.taken.append((now, tokens))
                return 0.0
            return self._window[0][0] + MINUTE_S - now


def rate(taken: Sequence[tuple[float, int]], worth: float, kind: Kind) -> float:
    """Return requests or tokens a minute: the median, over all requests, of the time in which so many came behind each.

    taken: times in seconds and tokens, in order. A burst at the begin counts in no rate, as it would in a mere quotient.
    """
    times = np.array([at for at, _ in taken])
    sums = np.cumsum([1 if kind == "requests" else tokens for _, tokens in taken])
    ends = np.searchsorted(sums, sums + worth)
    begins = np.flatnonzero(ends < len(sums))
    came, took = sums[ends[begins]] - sums[begins], times[ends[begins]] - times[begins]
    return float(np.median(MINUTE_S * came / took))


def limit_bench(kind: Kind) -> Bench:
    """Return the bench of a job that one of two limits binds; absent where omnitrain_testing, which has the server, is."""
    requests, tokens = LIMITS[kind]
    binding = requests if kind == "requests" else tokens
    installed = find_spec("omnitrain_testing") is not None
    variants: dict[str, Callable[[], float]] = {"the limit": lambda: 100.0}
    if installed:
        variants["concurrent"] = lambda: asked(kind, 64)
        variants["one by one"] = lambda: asked(kind, 1)
    return Bench(
        name=f"limit of {kind} kept full",
        summary=f"{binding} {kind} a minute at a server that counts them and takes {ANSWER_S:g} s for an answer.",
        unit="% of the limit",
        ours="concurrent" if installed else "the limit",
        variants=variants,
        higher_is_better=True,
        bars=(Bar("the limit", 0.95),) if installed else (),
        absent=() if installed else ("concurrent", "one by one"),
        rounds=3,
    )


def asked(kind: Kind, concurrency: int) -> float:
    """Ask for MINUTES and one more minutes' worth (one by one: for a tenth of it); return percent of the limit."""
    server = import_module(SERVER)
    requests, tokens = LIMITS[kind]
    binding, minutes = requests if kind == "requests" else tokens, MINUTES if concurrency > 1 else MINUTES / 20
    counter, clock = Counter(requests, tokens), FastClock()

    def answer(messages: Sequence[Any]) -> Any:
        prompt = len(messages[-1]["content"]) // 4
        written = ANSWERED // 2 + prompt % ANSWERED
        wait = counter.take(clock.now(), prompt + written)
        if wait:
            return server.status(429, retry_after=f"{wait:.3f}")
        time.sleep(ANSWER_S / SPEED)
        return server.completion("x", tokens=(prompt, written))

    sizes = 200 + 8 * np.random.default_rng(0).integers(0, 150, 4 * requests)
    worth = np.ones(len(sizes)) if kind == "requests" else sizes // 4 + ANSWERED
    count = int(np.searchsorted(np.cumsum(worth), minutes * (1 + 1 / MINUTES) * binding)) + 2
    prompts = [ask_for(f"{place:06d}".ljust(size, "x")) for place, size in enumerate(sizes[:count])]
    limits = LimitsConfig(concurrency=concurrency, requests_per_minute=requests, tokens_per_minute=tokens)
    with server.ChatServer(answer) as started:
        config = ChatConfig(kind="endpoint", url=started.url, name="teacher", max_tokens=MOST, limits=limits)
        for _ in Endpoint(config, clock=clock).complete(prompts, [""] * len(prompts), Budget()):
            pass
    return 100 * rate(counter.taken, minutes * binding, kind) / binding
