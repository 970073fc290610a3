"""Seeds of named random streams, all derived from the one seed of the run."""

from __future__ import annotations

import hashlib


def derive(seed: int, *names: str | int) -> int:
    """Return a 63-bit seed that is a function of the run's seed and of the names, different for different names."""
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
