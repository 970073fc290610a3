"""Secrets in addresses: a password or token is used, never written down. A digest stands for it, so that two are told apart."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>\\]+")
_USER = re.compile(r"(?P<before>^(?P<scheme>[^:]+)://)(?P<user>[^/?#:@]*)(?P<more>:(?P<password>[^/?#]*))?@")
_NAMES = (
    r"[a-z0-9_-]*token|[a-z0-9_-]*secret|[a-z0-9_-]*signature|(?:x-amz-|x-goog-)credential|api_?-?key|access_?-?key(?:_?id)?|key|"
    r"password|passwd|pwd|auth|authorization|sig|code|credentials?"
)
_QUERY = re.compile(rf"(?i)(?P<before>[?&;#](?:{_NAMES})=)(?P<secret>[^&;#]+)")
_DIGEST = r"\*\*\*[0-9a-f]{8}"
_MASKED = re.compile(_DIGEST)
_WEB = ("http", "https", "ftp", "ftps")


def mask(text: str) -> str:
    """Return text with a digest in place of each secret of an address in it. What is masked already stays as it is."""
    return _ADDRESS.sub(lambda found: _masked(found[0]), text) if "://" in text else text


def masked(value: Any) -> Any:
    """Return plain values with every text masked."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {key: masked(item) for key, item in value.items()}
    return [masked(item) for item in value] if isinstance(value, (list, tuple)) else value


def lacking(value: Any, path: tuple[Any, ...] = ()) -> Iterator[str]:
    """Yield the key of every address in plain values whose secret is not there, but the digest that stands for it."""
    if isinstance(value, str) and "://" in value:
        if any(_MASKED.fullmatch(secret) for address in _ADDRESS.findall(value) for secret in _secrets(address)):
            yield ".".join(map(str, path))
    elif isinstance(value, (dict, list, tuple)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from lacking(item, (*path, key))


def _masked(address: str) -> str:
    return _QUERY.sub(lambda found: found["before"] + _digest(found["secret"]), _USER.sub(_without_password, address))


def _without_password(found: re.Match[str]) -> str:
    if found["password"]:
        return f"{found['before']}{found['user']}:{_digest(found['password'])}@"
    # A name alone is a token on the web, and only a name elsewhere, as in ssh://git@host.
    alone = found["user"] and found["more"] is None and found["scheme"].lower() in _WEB
    return f"{found['before']}{_digest(found['user'])}@" if alone else found[0]


def _secrets(address: str) -> Iterator[str]:
    user = _USER.match(address)
    if user is not None:
        yield user["password"] or user["user"]
    yield from (found["secret"] for found in _QUERY.finditer(address))


def _digest(secret: str) -> str:
    if _MASKED.fullmatch(secret):
        return secret
    return f"***{hashlib.sha256(f'omnitrain:{secret}'.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
