"""How long to wait before a request is tried again."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def backoff(attempt: int, first_s: float, longest_s: float, draws: random.Random) -> float:
    """Return seconds before try `attempt` + 1: doubled each time, less up to a half, so that many clients part."""
    longest = min(longest_s, first_s * 2.0 ** min(attempt, 60))
    return longest * (1 - draws.random() / 2)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a server asks to wait, None where it asks for none or in a form that can't be read.

    A date is taken against the server's own date, where there is one, since clocks differ. headers: names in lower case.
    """
    for name, scale in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        text = headers.get(name, "").strip()
        try:
            seconds = float(text) * scale
        except ValueError:
            continue
        if seconds >= 0 and seconds != float("inf"):
            return seconds
    until = _date(headers.get("retry-after", ""))
    if until is None:
        return None
    now = _date(headers.get("date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
