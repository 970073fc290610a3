"""Which split a record is in: a stable hash of its key."""

from __future__ import annotations

import hashlib


def split_of(key: str, valid_fraction: float, test_fraction: float) -> str:
    """Return "train", "valid" or "test": a stable hash of the key against the fractions.

    Equal keys land in the same split, so duplicated documents never leak.
    """
    digest = hashlib.blake2b(key.encode("utf-8"), digest_size=8, person=b"omnitrain.split").digest()
    position = int.from_bytes(digest, "big") / 2**64
    if position < test_fraction:
        return "test"
    return "valid" if position < test_fraction + valid_fraction else "train"
