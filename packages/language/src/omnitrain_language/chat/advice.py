"""What to do about a server that gives no answer, and what it said in words, whichever form it said it in."""

from __future__ import annotations

import re
import socket
import ssl
from typing import Any

from omnitrain.api import shown

_KEY = "set the variable that key_variable names to a key that the server takes for this model"
_PLACE = "check that url ends where the API begins (mostly in /v1) and that name is one of the server's models"
_QUOTA = "raise the quota of the account"
_SETTING = "change the setting that it does not take (name, length_parameter, max_tokens, temperature, extra)"
_SLOW = "raise limits.timeout_s, or lower max_tokens or limits.concurrency"
_NETWORK = "check url and the network, and that the server runs"
_BY_STATUS = {200: _PLACE, 401: _KEY, 402: _QUOTA, 403: _KEY, 404: _PLACE, 405: _PLACE, 408: _SLOW}
_BY_STATUS[429] = "lower limits.requests_per_minute and limits.tokens_per_minute to what the server allows"


def by_status(status: int, code: str = "") -> str:
    """Return what to do about an HTTP status. code: of the error, in OpenAI's words."""
    if code == "insufficient_quota":
        return _QUOTA
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if 300 <= status < 400:
        return "write the address that it sends on to as url, up to /v1"
    return "wait until the server is well again, or raise limits.retries" if status >= 500 else _SETTING


def by_error(error: Exception) -> tuple[str, str]:
    """Return what a fault of the connection is in words, and what to do."""
    if isinstance(error, TimeoutError):
        return "no answer in time", _SLOW
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there", _NETWORK
    if isinstance(error, socket.gaierror):
        return "no server of that name is known", _NETWORK
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "reason", None) or error
        return f"no TLS connection: {reason}", "check that url begins with what the server speaks, https or http"
    return f"the connection failed: {type(error).__name__}", _NETWORK


def words(content: Any, body: bytes) -> str:
    """Return what a server says about an error: of JSON its message, of a page its text; "" where it says nothing."""
    found = content[0] if isinstance(content, list) and content else content
    for _ in range(3):
        if not isinstance(found, dict):
            break
        found = next((found[name] for name in ("error", "message", "detail") if found.get(name)), "")
    if isinstance(found, str) or content is not None:
        return shown(found, 200) if isinstance(found, str) and found else ""
    page = re.sub(r"(?is)<(script|style|title)\b.*?</\1>|<[^>]*>", " ", body[:20_000].decode("utf-8", "replace"))
    return shown(" ".join(page.split()), 200)
