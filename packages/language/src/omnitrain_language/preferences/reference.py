"""What the reference gives pairs: a function of a set of pairs and a model, computed once for the set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from omnitrain.api import Context
from omnitrain.engine import build_once, choose_device, evaluating, to_device, weights_digest
from omnitrain.errors import DataError, UsageError
from omnitrain_language.configs.preferences import ReferenceConfig
from omnitrain_language.preferences.batches import SIDES, Pair, collate_pairs
from omnitrain_language.preferences.log_probs import pair_log_probs
from omnitrain_language.switching import adapters_off

# Of how references are measured; with another one they are measured anew.
_VERSION = 1


def reference_log_probs(
    model: nn.Module,
    pairs: Sequence[Pair],
    pad: int,
    *,
    batch_size: int = 16,
    advance: Callable[[int], None] = lambda count: None,
) -> Tensor:
    """Return the log-probabilities that a model gives both responses of pairs, float32[pairs, 2] on the CPU.

    The model is run where it is, in evaluation mode and without gradients, and left as it was; the values depend on nothing
    else, so that a set that is made anew in training can be measured when it is made, and kept with its rows. Pairs of like
    length are read together, the longest first, so that too little memory shows at once. advance: called with each batch's
    number of pairs; what it raises is raised. Raises DataError that names a pair which gets no finite log-probability.
    """
    device = next(model.parameters()).device
    order = sorted(range(len(pairs)), key=lambda number: -len(pairs[number]))
    found = torch.zeros(len(pairs), len(SIDES))
    with evaluating(model):
        for first in range(0, len(order), batch_size):
            numbers = order[first : first + batch_size]
            batch = to_device(collate_pairs([pairs[number] for number in numbers], pad), device)
            given = pair_log_probs(model, batch)
            found[numbers] = torch.stack([given.chosen.sums, given.rejected.sums], dim=1).float().cpu()
            advance(len(numbers))
    broken = (~found.isfinite()).nonzero()
    if len(broken):
        number, side = broken[0].tolist()
        raise DataError(
            f"the reference gives {len(broken)} responses no finite log-probability, the first to the "
            f"{SIDES[side]} one of pair {number} ({found[number, side]:g}): its weights are damaged, or its vocabulary another"
        )
    return found


class Reference:
    """The reference that settings name, ready to measure sets of pairs; what was measured once is kept in the workspace."""

    def __init__(self, config: ReferenceConfig, workspace: Path, context: Context) -> None:
        self.config, self._workspace, self._context = config, workspace, context
        self._frozen: nn.Module | None = None

    @property
    def is_measured(self) -> bool:
        """Whether a model has to be run for it."""
        return self.config.kind in ("start", "adapters-off", "model")

    def measure(
        self, model: nn.Module, sets: Mapping[str, Sequence[Pair]], pad: int, facts: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        """Return its log-probabilities of both responses of sets of pairs by their names, float32[pairs, 2].

        model: the live one; for `start` it must not have been trained yet. facts: what the data tells models. Raises UsageError
        for a reference that is no model, and for `adapters-off` with a model without adapters.
        """
        if not self.is_measured:
            raise UsageError(f"reference {self.config.kind} is measured by no model; read its numbers from the records")
        model.to(choose_device("auto"))
        with self._live(model, facts) as live:
            weights = weights_digest(live)
            return {name: self._once(live, name, pairs, pad, weights) for name, pairs in sets.items()}

    def release(self) -> None:
        """Let go of a model of its own; it is loaded again where another set is measured."""
        self._frozen = None

    @contextmanager
    def _live(self, model: nn.Module, facts: Mapping[str, Any]) -> Iterator[nn.Module]:
        if self.config.kind == "adapters-off":
            with adapters_off(model):
                yield model
        elif self.config.model is not None:
            if self._frozen is None:
                self._frozen = self._context.build(self.config.model, facts).requires_grad_(False)
            try:
                yield self._frozen.to(next(model.parameters()).device)
            finally:
                if self._frozen is not None:
                    self._frozen.to("cpu")
        else:
            yield model

    def _once(self, live: nn.Module, name: str, pairs: Sequence[Pair], pad: int, weights: str) -> Tensor:
        """Measure a set, or read what was measured of the same pairs with the same weights on a device of the same kind."""
        settings = [_VERSION, version("torch"), version("transformers"), self.config.kind, weights, pad]
        settings += [self.config.batch_size, next(live.parameters()).device.type]
        digest = hashlib.blake2b(json.dumps(settings).encode(), digest_size=12)
        for pair in pairs:
            content = [[row.prompt, row.reply] for row in pair.sides], pair.weights and [list(w) for w in pair.weights]
            digest.update(json.dumps(content).encode())

        def build(folder: Path) -> None:
            with self._context.progress(f"reference on {name}", len(pairs)) as bar:
                found = reference_log_probs(live, pairs, pad, batch_size=self.config.batch_size, advance=bar.advance)
            save_file({"log_probs": found}, folder / "log_probs.safetensors")

        folder = build_once(self._workspace / "references" / digest.hexdigest(), build)
        found: Tensor = load_file(folder / "log_probs.safetensors")["log_probs"]
        return found
