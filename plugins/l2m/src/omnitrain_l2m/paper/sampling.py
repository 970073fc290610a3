"""Batches that come wholly from one domain, each domain in turn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def domains_of(first: int, count: int, batch: int, domains: int) -> NDArray[np.int64]:
    """Return the domain of samples first, first + 1, ...: those of one batch share it, int64[count]."""
    return (np.arange(first, first + count) // batch) % domains


def alternating(draws: Sequence[NDArray[np.int64]], sizes: Sequence[int], batch: int, count: int) -> NDArray[np.int64]:
    """Return examples numbered over all domains, int64[count].

    draws: of each domain, one draw behind the other. sizes: examples of each domain; those of a domain come behind those of
    the domains before it.
    """
    domains = domains_of(0, count, batch, len(sizes))
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    out = np.zeros(count, np.int64)
    for domain, drawn in enumerate(draws):
        rows = domains == domain
        out[rows] = np.asarray(drawn)[: rows.sum()] + offsets[domain]
    return out
