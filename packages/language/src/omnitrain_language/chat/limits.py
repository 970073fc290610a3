"""Requests and tokens per minute, as a sliding window: no 60 seconds hold more than the limit, wherever they begin.

What an answer will take is not known when it is asked for; `Expected` says what it is taken to be until then.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

MINUTE_S = 60.0
_LEAST_WAIT_S = 1e-3  # so that rounding of clocks never makes a wait of no time at all


@dataclass
class Entry:
    """A request that was sent: when, and how many tokens it takes."""

    at: float
    tokens: int


class Limiter:
    """Says when the next request may be sent. Times are given, so that any clock will do. None is no limit.

    spare_s: added to the minute, since requests do not arrive as evenly as they are sent.
    """

    def __init__(self, requests: int | None = None, tokens: int | None = None, spare_s: float = 0.0) -> None:
        self._requests, self._tokens, self._window_s = requests, tokens, MINUTE_S + spare_s
        self._window: deque[Entry] = deque()
        self._sum = 0

    def wait(self, now: float, tokens: int) -> float:
        """Return the seconds until a request of so many tokens may be sent, 0 for at once.

        Raises ValueError for one that is above the limit alone.
        """
        if self._tokens is not None and tokens > self._tokens:
            raise ValueError(f"{tokens} tokens of one request are more than the limit of {self._tokens} a minute")
        self._forget(now)
        leaving, left, free = 0, len(self._window), self._sum
        until = now
        for entry in self._window:
            fits = self._tokens is None or free + tokens <= self._tokens
            if fits and (self._requests is None or left < self._requests):
                break
            leaving, left, free, until = leaving + 1, left - 1, free - entry.tokens, entry.at + self._window_s
        return max(_LEAST_WAIT_S, until - now) if leaving else 0.0

    def take(self, now: float, tokens: int) -> Entry:
        """Count a request that is sent now."""
        entry = Entry(now, tokens)
        self._window.append(entry)
        self._sum += tokens
        return entry

    def settle(self, entry: Entry, tokens: int) -> None:
        """Correct the tokens of a request by what the server counted, while it is in the window."""
        if any(known is entry for known in self._window):
            self._sum += tokens - entry.tokens
            entry.tokens = tokens

    def _forget(self, now: float) -> None:
        while self._window and now - self._window[0].at >= self._window_s:
            self._sum -= self._window.popleft().tokens


class Expected:
    """Tokens that an answer is taken to have before it has come: as many as the longest so far.

    Where most answers are far shorter than the longest that is allowed, setting that aside for each would leave much of a
    limit unused. It is set aside until some answers are known, and again after a server found a request above its limit, as
    those do that count the longest themselves; then for twice as many answers each time.
    """

    def __init__(self, most: int, after: int = 32) -> None:
        self._most, self._after = most, after
        self._seen = self._longest = 0

    @property
    def tokens(self) -> int:
        """How many to set aside now."""
        return self._longest if self._seen >= self._after else self._most

    def saw(self, tokens: int) -> None:
        """Note the length of an answer."""
        self._seen += 1
        self._longest = max(self._longest, tokens)

    def refused(self) -> None:
        """Note that the server found a request above its limit."""
        if self._seen >= self._after:
            self._after *= 2
        self._seen = 0
