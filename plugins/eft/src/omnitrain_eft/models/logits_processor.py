"""The composition as a `LogitsProcessor`: hand it to `generate` of the large base and it adds what fine-tuning changed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor

from omnitrain_eft.models.ensemble import Ensemble, Ids, Prompts, SmallModels
from omnitrain_eft.paper.composition import Dials, check_distribution


class EmulatedFineTuning(LogitsProcessor):  # type: ignore[misc]
    """Small models with caches of their own, fed with what `generate` has written.

    small_prompts: for each small model its own prompts, one for each row before beams or several sequences multiply them;
    nothing means: the large base's prompt without the padding in front, which is the ensemble's pad id.
    A row that goes on from another one, as beams do, takes over that one's cache; anything else begins anew.
    """

    def __init__(
        self, ensemble: Ensemble, dials: Dials, small_prompts: Sequence[Ids] | None = None, stacked: bool = True
    ) -> None:
        self.ensemble, self.dials = ensemble, dials
        self._prompts, self._stacked = small_prompts, stacked
        self._models: SmallModels | None = None
        self._seen: Tensor | None = None

    def reset(self) -> None:
        """Forget what was read; a new call of `generate` does this by itself."""
        self._models, self._seen = None, None

    @torch.no_grad()
    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return log pi~ float32[rows, vocabulary] for the large base's scores; ids beyond the shared vocabulary get -inf.

        Raises NumericalError where the result is no distribution.
        """
        logits = self._logits(input_ids)
        z = self.ensemble.combined(scores, [logits[i][:, -1] for i in range(len(self.ensemble.small))], self.dials)
        check_distribution(z)
        found = scores.new_full(scores.shape, -torch.inf, dtype=torch.promote_types(scores.dtype, torch.float32))
        # Normalised, since beams add up log-probabilities.
        found[:, : z.shape[1]] = torch.log_softmax(z, dim=-1)
        return found

    def _logits(self, ids: Tensor) -> dict[int, Tensor]:
        source = self._source(ids)
        if source is None or self._models is None or self._seen is None:
            self._models = SmallModels(self.ensemble, range(len(self.ensemble.small)), self._stacked)
            logits = self._models.start(self._small_prompts(ids))
        else:
            self._models.reorder(source, len(self._seen))
            logits = self._models.extend(ids[:, -1:])
        self._seen = ids.clone()
        return logits

    def _source(self, ids: Tensor) -> Tensor | None:
        """Return for each row the earlier row that it goes on from, int64[rows], or None where one has none."""
        if self._seen is None or ids.shape[1] != self._seen.shape[1] + 1 or len(ids) != len(self._seen):
            return None
        same = (ids[:, None, :-1] == self._seen[None]).all(dim=-1)
        if not bool(same.any(dim=1).all()):
            return None
        own = torch.arange(len(ids), device=ids.device)
        return torch.where(same[own, own], own, same.to(torch.int8).argmax(dim=1))

    def _small_prompts(self, ids: Tensor) -> Prompts:
        if self._prompts is not None:
            small = [_repeated(rows, len(ids)) for rows in self._prompts]
            return Prompts(small[0], small)
        rows: list[list[int]] = ids.tolist()
        stripped = [_without_padding(row, self.ensemble.pad) for row in rows]
        return Prompts.shared(stripped, len(self.ensemble.small))


def _repeated(rows: Ids, wanted: int) -> Ids:
    """Return every row as often as `generate` has multiplied them."""
    times = wanted // len(rows)
    return [row for row in rows for _ in range(times)]


def _without_padding(row: list[int], pad: int) -> list[int]:
    start = next((i for i, token in enumerate(row) if token != pad), len(row) - 1)
    return row[start:]
