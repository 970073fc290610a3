"""Text that may be written to a terminal: what a terminal would obey is shown instead."""

from __future__ import annotations

import re

# Control characters but for tab and line feed, those that turn the direction of writing, and halves of pairs of UTF-16.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    r"""Return text in which each character that a terminal would obey stands as "\x1b" or "\u202e"."""
    return _OBEYED.sub(_escaped, text)


def visible_json(text: str) -> str:
    """Return a JSON text in which such characters stand as JSON escapes them, so that it means the same."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def one_line(text: str) -> str:
    """Return text for the cell of a table or one message: visible, with line ends and tabs as spaces."""
    return visible(text.replace("\r\n", " ").replace("\n", " ").replace("\t", " "))


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
