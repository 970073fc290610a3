"""What answers cost, and the limit of it."""

from __future__ import annotations

from omnitrain.errors import UsageError

MILLION = 1_000_000


class Budget:
    """Money by prices for a million tokens, spent and reserved, below a limit.

    limit: None for none. A completion that is kept already counts with what was paid for it, so that a limit is one of the
    whole job, however often it was interrupted.
    """

    def __init__(self, limit: float | None = None, prompt_price: float = 0.0, completion_price: float = 0.0) -> None:
        self.limit, self.spent, self.reserved = limit, 0.0, 0.0
        self._prompt, self._completion = prompt_price, completion_price

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return what so many tokens cost."""
        return (prompt_tokens * self._prompt + completion_tokens * self._completion) / MILLION

    def has_room(self, most: float) -> bool:
        """Whether a request that costs at most so much keeps the limit, with all others that are under way."""
        return self.limit is None or self.spent + self.reserved + most <= self.limit

    def reserve(self, most: float) -> None:
        """Set money aside for a request that is sent."""
        self.reserved += most

    def settle(self, most: float, paid: float) -> None:
        """Replace what was set aside by what was paid."""
        self.reserved = max(0.0, self.reserved - most)
        self.spent += paid

    def exceeded(self, most: float) -> UsageError:
        """Return the error for a request that would exceed the limit."""
        return UsageError(
            f"budget: {self.spent:.4f} of {self.limit:g} is spent and the next answer may cost {most:.4f}; every answer so "
            "far is kept: raise budget (and run with --force) or ask for less."
        )
