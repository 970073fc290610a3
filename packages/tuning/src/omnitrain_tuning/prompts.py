"""Prompt tuning (arXiv 2104.08691): learned embeddings in front of what a backbone reads, the same for all or selected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from omnitrain.errors import UsageError
from omnitrain_tuning.blocks import Block
from omnitrain_tuning.methods import Detach, SelectingSites, entries_of


class Prompts(nn.Module):
    """Learned embeddings float[entries, length, width], drawn from a normal distribution of deviation 0.02."""

    def __init__(self, length: int, width: int, entries: int = 1) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.empty(entries, length, width).normal_(std=0.02))

    def forward(self, batch: int, chosen: Tensor | None = None) -> Tensor:
        """Return float[batch, length, width]; chosen: int64[batch], or int64[batch, several] for prompts behind each other."""
        if chosen is not None and chosen.ndim == 2:
            return self.tokens[chosen].flatten(1, 2)
        return entries_of(self.tokens, chosen).expand(batch, -1, -1)


class PromptPet:
    """Prompts in front of the embeddings of a text model of transformers, cut off what it gives.

    length: tokens. entries: prompts, of which `select` of what `attach` returns gives each example one or several.
    """

    blocks: Sequence[int] = (0,)

    def __init__(self, length: int, entries: int = 1) -> None:
        self.length, self.entries = length, entries

    def attach(self, backbone: nn.Module, blocks: Sequence[Block]) -> SelectingSites:
        """Put hooks on the backbone. Raises UsageError for one that does not read embeddings of tokens."""
        if not hasattr(backbone, "get_input_embeddings"):
            raise UsageError(f"{type(backbone).__name__} reads no embeddings of tokens, in front of which prompts could stand.")

        def put(block: Block, modules: Callable[[], Sequence[nn.Module]]) -> Detach:
            added = [0]

            def prepend(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
                active, added[0] = modules(), 0
                if not active:
                    return args, kwargs
                embeddings, rest = _embeddings(backbone, args, dict(kwargs))
                parts = embeddings.chunk(len(active))
                prompts = torch.cat(
                    [own(len(p), rows) for own, p, rows in zip(active, parts, sites.chosen(len(active)), strict=True)]
                )
                added[0] = prompts.shape[1]
                return (), {**rest, **_longer(embeddings, prompts, rest)}

            def cut(module: nn.Module, args: Any, output: Any) -> Any:
                return _without(output, added[0]) if added[0] else output

            handles = [
                backbone.register_forward_pre_hook(prepend, with_kwargs=True),
                backbone.register_forward_hook(cut),
            ]

            def remove() -> None:
                for handle in handles:
                    handle.remove()

            return remove

        width = int(backbone.get_input_embeddings().weight.shape[1])  # type: ignore[operator]
        sites = SelectingSites(blocks[:1], lambda block: Prompts(self.length, width, self.entries), put)
        return sites


def _embeddings(backbone: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
    """Return what a call reads as embeddings, and its other arguments."""
    ids = kwargs.pop("input_ids", None)
    embeddings = kwargs.pop("inputs_embeds", None)
    if args:
        ids = args[0]
    cache = kwargs.get("past_key_values")
    if len(args) > 1 or (cache is not None and cache.get_seq_length()):
        raise UsageError("prompts: give the inputs by name, and without a cache of earlier ones.")
    return backbone.get_input_embeddings()(ids) if embeddings is None else embeddings, kwargs


def _longer(embeddings: Tensor, prompts: Tensor, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the inputs with prompts in front: embeddings, the mask with ones, positions with 0."""
    found: dict[str, Any] = {"inputs_embeds": torch.cat([prompts.to(embeddings.dtype), embeddings], dim=1)}
    for name, value in (("attention_mask", 1), ("position_ids", 0)):
        given = kwargs.get(name)
        if given is None:
            continue
        if given.ndim != 2:
            raise UsageError(f"prompts: {name} has {given.ndim} dimensions; give it as [batch, length].")
        found[name] = torch.cat([given.new_full((len(given), prompts.shape[1]), value), given], dim=1)
    return found


def _without(output: Any, added: int) -> Any:
    """Cut the positions of prompts off what is there for each position."""
    for name in ("last_hidden_state", "logits"):
        if getattr(output, name, None) is not None:
            output[name] = output[name][:, added:]
    if getattr(output, "hidden_states", None) is not None:
        output["hidden_states"] = tuple(states[:, added:] for states in output["hidden_states"])
    return output
