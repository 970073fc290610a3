"""Steps of the official code for a budget of tokens, and the loss that such a budget is expected to reach."""

from __future__ import annotations

from collections.abc import Mapping

from omnitrain.errors import UsageError


def theoretical_loss(parameters: float, tokens: float) -> float:
    """Return the loss in nats a token that Chinchilla's fit predicts (arXiv 2203.15556, eq. 10)."""
    return float(1.69 + 406.4 / parameters**0.34 + 410.7 / tokens**0.28)


def training_schedule(
    tokens: float, tokens_seen: int, batch: int, length: int, micro_batch: int = 1, devices: int = 1
) -> Mapping[str, int]:
    """Return {"steps", "accumulate"} of the official code for a budget of tokens.

    batch: sequences of an update. micro_batch: sequences of a device at a time. Raises UsageError where batch can't be cut so.
    """
    accumulate, rest = divmod(batch, micro_batch * devices)
    if rest or not accumulate:
        raise UsageError(f"a batch of {batch} can't be cut into parts of {micro_batch} on {devices} devices")
    return {"steps": int((tokens - tokens_seen) // (batch * length)), "accumulate": accumulate}
