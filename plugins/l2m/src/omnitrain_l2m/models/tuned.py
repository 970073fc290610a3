"""A pre-trained decision transformer and one of the ways to tune it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from omnitrain.errors import DataError, UsageError
from omnitrain_l2m.configs.models import KEYED, MethodConfig
from omnitrain_l2m.models.gpt2 import Front
from omnitrain_l2m.models.modulators import MAKERS, Modulator
from omnitrain_l2m.models.network import Mddt, decay_groups
from omnitrain_l2m.models.pool import KeyPool
from omnitrain_l2m.paper.selection import masked_mean

WEIGHTS = "model.safetensors"


def free(backbone: Mddt, name: str) -> None:
    """Let the parts of the backbone be trained that a method trains, and freeze the others."""
    backbone.trainable()
    if name == "full":
        return
    backbone.requires_grad_(False)
    parts: dict[str, list[nn.Module]] = {"head": [backbone.action_net]}
    parts["last-layer"] = [backbone.encoder.h[-1], backbone.encoder.ln_f, backbone.action_net]
    for module in parts.get(name, []):
        module.requires_grad_(True)


class Tuned(nn.Module):
    """Reads and returns what its backbone does. tasks: how many are learned one after the other. number: of the present one.

    pulled: similarity of each example of the last forward pass with what it chose, float[batch]; None without keys.
    """

    def __init__(self, backbone: Mddt, method: MethodConfig, tasks: int = 1, number: int = 0) -> None:
        super().__init__()
        self.backbone, self.method, self.options = backbone, method, method.options()
        free(backbone, method.name)
        self.modulator: Modulator | None = None
        self.keys: KeyPool | None = None
        if method.name in MAKERS:
            self.modulator = MAKERS[method.name](backbone, self.options)
        if method.name in KEYED:
            self.keys = self._keys(tasks)
        self.number = number
        self.task: int | None = None
        self.pulled: Tensor | None = None
        self.chosen: Tensor | None = None
        self._on = True

    def _keys(self, tasks: int) -> KeyPool:
        given, oracle = self.options, self.method.name == "l2m-oracle"
        if oracle and given["pool"] < tasks:
            raise UsageError(f"l2m-oracle: {tasks} tasks can't share a pool of {given['pool']} entries; raise pool.")
        return KeyPool(
            given["pool"],
            self.backbone.shape.width,
            given.get("top", 1),
            given["similarity"],
            given["count_penalty"],
            tasks=tasks if oracle else None,
        )

    @property
    def pull(self) -> float:
        """Weight of the similarity in the loss."""
        return float(self.options.get("pull", 0.0))

    @property
    def shape(self) -> Any:
        """Sizes of the backbone."""
        return self.backbone.shape

    @property
    def tokeniser(self) -> Any:
        """How actions are cut."""
        return self.backbone.tokeniser

    def begin_task(self, number: int) -> None:
        """Go on to a task, numbered from 0."""
        if self.keys is not None:
            self.keys.begin_task(number)

    def count(self) -> None:
        """Take note of what the last batch chose, in training."""
        if self.keys is not None and self.chosen is not None:
            self.keys.count(self.chosen)

    @contextmanager
    def asked(self, task: int | None = None, bypass: bool = False) -> Iterator[None]:
        """Forward passes for a known task, which the oracle alone uses; bypass: of the backbone alone."""
        before = self.task, self._on
        self.task, self._on = task, not bypass
        try:
            yield
        finally:
            self.task, self._on = before

    def query(self, tokens: Tensor, real: Tensor) -> Tensor:
        """Return what examples are told apart by, float[batch, width], a constant. tokens: what the backbone embeds."""
        kind = self.options["query"]
        with torch.no_grad():
            if kind == "all":
                each = real[..., None].expand(*tokens.shape[:3])
                return masked_mean(tokens.flatten(1, 2), each.flatten(1, 2))
            if kind in ("layer-1", "last"):
                tokens = self._frozen_pass(tokens, real, 1 if kind == "layer-1" else None)
            return masked_mean(tokens[:, :, 0], real)

    def _frozen_pass(self, tokens: Tensor, real: Tensor, layers: int | None) -> Tensor:
        assert self.modulator is not None
        training = self.backbone.training
        self.modulator.use(False)
        self.backbone.eval()
        found = self.backbone.encode(tokens, real, None, layers)
        self.backbone.train(training)
        return found

    def _prepared(self, tokens: Tensor, real: Tensor) -> Front | None:
        """Choose entries and return what stands in front of the sequences."""
        self.pulled = self.chosen = None
        if self.modulator is None:
            return None
        if self.keys is not None and self._on:
            self.chosen, self.pulled = self.keys(self.query(tokens, real), self.task)
            self.modulator.select(self.chosen)
        self.modulator.use(self._on)
        return self.modulator.front(len(tokens))

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the logits float[batch, steps, dimensions, bins]."""
        backbone = self.backbone
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.modulator is None):
            tokens = backbone.embed(batch)
        front = self._prepared(tokens, batch["attention_mask"])
        return backbone.logits(backbone.encode(tokens, batch["attention_mask"], front))

    def parameter_groups(self) -> Sequence[Mapping[str, Any]]:
        """Return optimiser groups; keys, modulators and prompts have no weight decay."""
        return decay_groups(self, {"keys.keys": float(self.options.get("key_rate", 1.0))})

    def save(self, directory: Path) -> None:
        """Write everything: backbone, keys with their counts, and what modulates."""
        save_file({name: value.contiguous() for name, value in self.state_dict().items()}, directory / WEIGHTS)

    def restore(self, directory: Path) -> None:
        """Take what was saved, or the weights of a pre-trained model alone: then what modulates stays fresh. Goes on to a later
        task where the model is for one.

        Raises DataError for what was tuned in another way.
        """
        state, own = load_file(directory / WEIGHTS), self.state_dict()
        plain = not any(name.startswith("backbone.") for name in state)
        given = {f"backbone.{name}": value for name, value in state.items()} if plain else dict(state)
        wanted = {name for name in own if name.startswith("backbone.")} if plain else set(own)
        if wanted != set(given) or any(given[name].shape != own[name].shape for name in given):
            raise DataError(
                f"{directory} holds no pre-trained model of these sizes, nor one tuned by {self.method.name} as set: "
                "name the stage that pre-trained it, or leave method as it was."
            )
        self.load_state_dict({**own, **given})
        if self.keys is not None and self.number > int(self.keys.task):
            self.begin_task(self.number)
