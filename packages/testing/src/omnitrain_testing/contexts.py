"""What a component gets when it is built, without a run: for a package's own unit tests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class Quiet:
    """Progress that nobody sees."""

    def advance(self, amount: float = 1, **values: float) -> None:
        """Take note of nothing."""


@dataclass
class FakeContext:
    """A context in memory, with seeds that depend on the run's seed and on the name, as core's do.

    builder: what builds the components that a config holds, called with the field and the facts. events: what was told.
    model_source, saved: see omnitrain.api.Context.
    """

    workspace: Path
    facts: Mapping[str, Any] = field(default_factory=dict)
    run_seed: int = 0
    builder: Callable[[Any, Mapping[str, Any] | None], Any] | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    model_source: str | None = None
    saved: Path | None = None

    def seed(self, name: str) -> int:
        """Return the seed of the random stream of that name."""
        return int.from_bytes(hashlib.blake2b(f"{self.run_seed}/{name}".encode(), digest_size=6).digest(), "big")

    def build(self, use: Any, facts: Mapping[str, Any] | None = None) -> Any:
        """Build the component that a config field holds. Raises LookupError without a builder."""
        if self.builder is None:
            raise LookupError(f"This context was given nothing to build {use} with; pass builder=.")
        return self.builder(use, facts)

    def load(self, folder: Path) -> Any:
        """Build a saved model; this context can't."""
        raise LookupError(f"This context loads no models; {folder} was asked for.")

    @contextmanager
    def progress(self, label: str, total: float | None = None) -> Iterator[Quiet]:
        """Show nothing."""
        yield Quiet()

    def event(self, name: str, **details: Any) -> None:
        """Keep what is told."""
        self.events.append({"event": name, **details})
