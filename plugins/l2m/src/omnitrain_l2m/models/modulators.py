"""The ways to tune a decision transformer: each puts its own parameters on it, or frees some of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from omnitrain_l2m.models.gpt2 import Front
from omnitrain_l2m.models.network import Mddt
from omnitrain_tuning.adapter import AdapterPet
from omnitrain_tuning.blocks import find_blocks
from omnitrain_tuning.ia3 import IA3Pet
from omnitrain_tuning.lowrank import LowRankPet
from omnitrain_tuning.methods import Attached, Pet, SelectingSites
from omnitrain_tuning.prompts import Prompts

ALL = "own"
Options = Mapping[str, Any]


class Modulator(nn.Module):
    """What is put on a frozen model. A fresh one that is made of hooks changes nothing."""

    def use(self, on: bool) -> None:
        """Switch it on, or off: then the model is the frozen one, to the bit."""

    def select(self, chosen: Tensor | None) -> None:
        """Take the entries of each example of the next batch, int64[batch, top]; None where there is one set for all."""

    def front(self, batch: int) -> Front | None:
        """Return what stands before the sequences of the next batch."""
        return None


class Hooked(Modulator):
    """A method of omnitrain-tuning on the blocks."""

    def __init__(self, backbone: Mddt, pet: Pet) -> None:
        super().__init__()
        self._attached: Attached = pet.attach(backbone.encoder, find_blocks(backbone.encoder))
        self.parameters_of_blocks = self._attached.add(ALL)
        self.use(True)

    def use(self, on: bool) -> None:
        """See `Modulator`."""
        self._attached.use([ALL] if on else [])

    def select(self, chosen: Tensor | None) -> None:
        """See `Modulator`; an example has one entry."""
        if isinstance(self._attached, SelectingSites):
            self._attached.select(None if chosen is None else chosen[:, 0])


class Fronted(Modulator):
    """Prompts in front of the input, of every layer, or keys and values in front of those of every layer.

    entries: sets, of which each example has those that are selected, one behind the other. dropout: of them.
    """

    def __init__(self, backbone: Mddt, place: str, length: int, entries: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        shape = backbone.shape
        parts = {"input": 1, "layers": shape.layers, "prefixes": 2 * shape.layers}[place]
        self.prompts = Prompts(length, parts * shape.width, entries)
        self._place, self._layers, self._drop = place, shape.layers, nn.Dropout(dropout)
        self._chosen: Tensor | None = None
        self._on = True

    def use(self, on: bool) -> None:
        """See `Modulator`."""
        self._on = on

    def select(self, chosen: Tensor | None) -> None:
        """See `Modulator`."""
        self._chosen = chosen

    def front(self, batch: int) -> Front | None:
        """See `Modulator`."""
        if not self._on:
            return None
        tokens: Tensor = self._drop(self.prompts(batch, self._chosen))
        if self._place == "input":
            return Front(prompts=tokens)
        if self._place == "layers":
            return Front(layers=tokens.chunk(self._layers, dim=-1))
        return Front(prefixes=[torch.unflatten(part, -1, (2, -1)) for part in tokens.chunk(self._layers, dim=-1)])


def _low_rank(backbone: Mddt, options: Options, roles: tuple[str, ...], entries: int) -> Hooked:
    rank, layers = options["rank"], range(backbone.shape.layers)
    scale = options["alpha"] / rank
    made = Hooked(backbone, LowRankPet(rank, layers, roles, scale, entries, feed_forward_of="output"))
    _draw(made, backbone.shape.width, rank, len(layers) if entries > 1 else 1)
    return made


def _draw(made: nn.Module, width: int, rank: int, layers: int) -> None:
    """Draw A as the official code does, Kaiming uniform of one tensor [(entries,) layers, slots, width, rank] as a whole.

    Its fan-in is layers * slots * width * rank, far more than one factor's; a feed-forward factor takes 4 slots.
    """
    factors = {name: p for name, p in made.named_parameters() if name.endswith(".a")}
    slots = sum(p.shape[1] // width for name, p in factors.items() if name.startswith("parameters_of_blocks.0."))
    bound = 1 / math.sqrt(layers * slots * width * rank)
    with torch.no_grad():
        for factor in factors.values():
            factor.uniform_(-bound, bound)


ROLES = {"lora": ("query", "value", "feed_forward"), "lora-qv": ("query", "value")}


def _pool(backbone: Mddt, options: Options) -> Modulator:
    if options["modulate"] == "ia3":
        return Hooked(backbone, IA3Pet(range(backbone.shape.layers), entries=options["pool"]))
    return _low_rank(backbone, options, ROLES[options["modulate"]], options["pool"])


def _adapters(backbone: Mddt, options: Options) -> Modulator:
    shape = backbone.shape
    pet = AdapterPet(
        max(1, shape.width // options["reduction"]),
        range(shape.layers),
        mode="serial",
        scale=1.0,
        where=("attention", "feed_forward"),
        activation="silu",
        shared=options["shared"],
    )
    return Hooked(backbone, pet)


def _prompts(place: str) -> Callable[[Mddt, Options], Modulator]:
    def make(backbone: Mddt, options: Options) -> Modulator:
        return Fronted(backbone, place, options["length"], options.get("pool", 1), options.get("prompt_dropout", 0.0))

    return make


MAKERS: Mapping[str, Callable[[Mddt, Options], Modulator]] = {
    "adapters": _adapters,
    "ia3": lambda backbone, options: Hooked(backbone, IA3Pet(range(backbone.shape.layers))),
    "lora": lambda backbone, options: _low_rank(backbone, options, ROLES["lora"], 1),
    "prompt": _prompts("input"),
    "prefix": _prompts("prefixes"),
    "l2p-pt": _prompts("input"),
    "l2p-pret": _prompts("prefixes"),
    "l2p-pv2": _prompts("layers"),
    "l2m": _pool,
    "l2m-oracle": _pool,
}
"""Methods that put parameters of their own on a frozen model; the others free some or all of the model's."""
