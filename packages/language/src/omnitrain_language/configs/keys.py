"""The key of a server, which is in an environment variable and is written nowhere."""

from __future__ import annotations

import os

from omnitrain.errors import EnvironmentFault


def read_key(variable: str | None) -> str | None:
    """Return the key from the environment, None for a server without one.

    Raises EnvironmentFault where the variable is named and holds none.
    """
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise EnvironmentFault(
            f"key_variable: the environment variable {variable} holds no key: set it, or leave key_variable out for a server "
            "without keys."
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise EnvironmentFault(
            f"key_variable: the environment variable {variable} holds no usable key, but other text: set it to the key alone."
        )
    return key
