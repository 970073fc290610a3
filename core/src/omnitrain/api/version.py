"""The version of the interface between core and plugins."""

from __future__ import annotations

API_VERSION: tuple[int, int] = (1, 1)


def parse_version(text: str) -> tuple[int, int]:
    """Read "major.minor".

    Raises ValueError when the text is anything else.
    """
    major, minor = text.split(".")
    return int(major), int(minor)


def incompatibility(written_for: str) -> str | None:
    """Say why a plugin written for that interface version can't be used here, or None if it can.

    A plugin fits when the major version is equal and its minor version is not newer than ours.
    """
    ours = ".".join(map(str, API_VERSION))
    try:
        major, minor = parse_version(written_for)
    except (AttributeError, ValueError):
        return f"names interface version {written_for!r}; expected MAJOR.MINOR such as {ours!r}"
    if major > API_VERSION[0] or (major == API_VERSION[0] and minor > API_VERSION[1]):
        return f"was written for interface {written_for}, this core offers {ours}: upgrade omnitrain-core"
    if major < API_VERSION[0]:
        return f"was written for interface {written_for}, this core offers {ours}: upgrade the plugin"
    return None
