"""Plain decoding of a composition: every model reads one token per step from its own cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor

from omnitrain_eft.models.caches import CachedModel
from omnitrain_eft.models.ensemble import Ensemble, Ids, Prompts, SmallModels
from omnitrain_eft.paper.composition import Dials, in_float32


class Steps(Protocol):
    """What `generate` asks for; `omnitrain_language.decoding.Decoder` that counts its passes."""

    def start(self, prompts: Ids | Prompts) -> Tensor:
        """Read the prompts; return the logits [batch, vocabulary] of the first new token."""

    def step(self, tokens: Tensor) -> Tensor:
        """Append one token to each row, int64[batch]; return the next logits [batch, vocabulary]."""

    def passes(self) -> tuple[int, int]:
        """Return the forward passes of the large model and of the small ones."""


class CompositionDecoder:
    """What `omnitrain_language.decoding` and `generate` of this package ask for; gives combined logits step by step.

    stacked: small models of one architecture share their passes. on_logits: called with every z [batch, vocabulary].
    """

    def __init__(
        self,
        ensemble: Ensemble,
        dials: Dials,
        stacked: bool = True,
        on_logits: Callable[[Tensor], None] | None = None,
    ) -> None:
        self.ensemble, self.dials = ensemble, dials
        self.large = CachedModel(ensemble.large, ensemble.pad, "the large base")
        self.small = SmallModels(ensemble, range(len(ensemble.small)), stacked)
        self._on_logits = on_logits

    def start(self, prompts: Ids | Prompts) -> Tensor:
        """Read the prompts; return z [batch, vocabulary] of the first new token."""
        given = prompts if isinstance(prompts, Prompts) else Prompts.shared(prompts, len(self.ensemble.small))
        return self._combined(self.large.start(given.large), self.small.start(given))

    def step(self, tokens: Tensor) -> Tensor:
        """Append one token to each row, int64[batch]; return the next z [batch, vocabulary]."""
        return self._combined(self.large.extend(tokens[:, None]), self.small.extend(tokens[:, None]))

    def _combined(self, large: Tensor, small: dict[int, Tensor]) -> Tensor:
        z = self.ensemble.combined(large[:, -1], [small[i][:, -1] for i in sorted(small)], self.dials)
        if self._on_logits is not None:
            self._on_logits(z)
        return z

    def passes(self) -> tuple[int, int]:
        """Return the forward passes so far of the large model and of the small ones, stacked ones counted once."""
        return self.large.passes, sum(lane.model.passes for lane in self.small.lanes)


class SingleDecoder:
    """One model alone, through the same loop: what compositions are compared with."""

    def __init__(self, model: Any, pad: int, vocabulary: int) -> None:
        self.model, self._vocabulary = CachedModel(model, pad, "the model"), vocabulary

    def start(self, prompts: Ids | Prompts) -> Tensor:
        """Read the prompts; return the logits [batch, vocabulary] of the first new token."""
        return self._cut(self.model.start(prompts.large if isinstance(prompts, Prompts) else prompts))

    def step(self, tokens: Tensor) -> Tensor:
        """Append one token to each row, int64[batch]; return the next logits [batch, vocabulary]."""
        return self._cut(self.model.extend(tokens[:, None]))

    def passes(self) -> tuple[int, int]:
        """Return the forward passes so far, and none of small models."""
        return self.model.passes, 0

    def _cut(self, logits: Tensor) -> Tensor:
        return in_float32(logits[:, -1, : self._vocabulary])
