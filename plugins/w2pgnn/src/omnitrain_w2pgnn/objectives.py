"""Objectives `w2pgnn/contrast`, `w2pgnn/moco` and `w2pgnn/masking`: the losses of the pre-training strategies."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from omnitrain.api import Batch, Context, Fields, Loss, Part
from omnitrain.engine import unwrap
from omnitrain.errors import UsageError
from omnitrain_w2pgnn.configs.objectives import ContrastConfig, MaskingConfig, MocoConfig
from omnitrain_w2pgnn.data.masked import MASKED
from omnitrain_w2pgnn.graphs.tensors import PAIRED, view


def in_batch_contrast(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of each key against all queries of the batch, its own the right one, summed (GCC, end to end).

    queries, keys: float[rows, dim], used as they are. The official logits are k q^T / temperature with the diagonal as target.
    """
    logits = keys @ queries.T / temperature
    return torch.nn.functional.cross_entropy(logits, torch.arange(len(queries), device=queries.device), reduction="sum")


def queue_logits(queries: Tensor, keys: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """Return float[rows, 1 + queue]: similarity with the own key first, then with the queue (GCC, MoCo)."""
    own = (queries * keys).sum(dim=1, keepdim=True)
    return torch.cat([own, queries @ queue.T], dim=1) / temperature


def queue_contrast(logits: Tensor) -> Tensor:
    """Cross-entropy with column 0 as the right one, summed over rows."""
    right = torch.zeros(len(logits), dtype=torch.int64, device=logits.device)
    return torch.nn.functional.cross_entropy(logits, right, reduction="sum")


def push(queue: Tensor, keys: Tensor, index: int) -> tuple[Tensor, int]:
    """Return the queue with its rows from `index` on overwritten cyclically by the keys, and the next index."""
    places = (torch.arange(len(keys), device=queue.device) + index) % len(queue)
    return queue.index_copy(0, places, keys.detach().to(queue.dtype)), (index + len(keys)) % len(queue)


def normalised_contrast(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """NT-Xent as in GraphCL: cosine similarities, the own pair not among the negatives, both directions, summed over rows.

    Returns 0 for a single row, which has no negatives.
    """
    if len(first) < 2:
        return (first * second).sum() * 0
    a = torch.nn.functional.normalize(first, dim=1)
    b = torch.nn.functional.normalize(second, dim=1)
    similarity = a @ b.T / temperature
    own = similarity.diagonal()
    others = similarity.masked_fill(torch.eye(len(a), dtype=torch.bool, device=a.device), float("-inf"))
    return -(own - others.logsumexp(dim=1) + own - others.logsumexp(dim=0)).sum() / 2


class Contrast:
    """Sum over rows of the loss of telling the other view from the rest of the batch. The rows of a batch see each other."""

    needs: Fields = PAIRED

    def __init__(self, config: ContrastConfig) -> None:
        self.config = config

    def __call__(self, model: nn.Module, batch: Batch, /) -> Loss:
        """Return the loss, and its value were all similarities equal as the part `chance`."""
        queries, keys = model(view(batch, 0)), model(view(batch, 1))
        loss = in_batch_contrast if self.config.form == "info-nce" else normalised_contrast
        rows = len(queries)
        negatives = rows if self.config.form == "info-nce" else max(rows - 1, 1)
        chance = torch.log(torch.tensor(float(negatives))) * rows
        weight = torch.tensor(float(rows), device=queries.device)
        return Loss(loss(queries, keys, self.config.temperature), weight, {"chance": Part(chance, rows)})


class Moco:
    """Sum over rows of the loss of telling the own key from a queue of earlier keys, made by a slowly following encoder.

    The key encoder's weights, the queue and the place in it are carried from batch to batch by the engine.
    """

    needs: Fields = PAIRED

    def __init__(self, config: MocoConfig, seed: int) -> None:
        self.config, self._seed = config, seed

    def __call__(self, model: nn.Module, batch: Batch, /) -> Loss:
        """Return the loss without a queue, against the batch: what evaluation measures."""
        queries = model(view(batch, 0))
        with torch.no_grad():
            keys = model(view(batch, 1))
        weight = torch.tensor(float(len(queries)), device=queries.device)
        return Loss(in_batch_contrast(queries, keys, self.config.temperature), weight)

    def initial_state(self, model: nn.Module, batch: Batch) -> Any:
        """Return a copy of the encoder and a queue of random keys, uniform in +-1 / sqrt(width / 3) as in the code."""
        encoder = unwrap(model)
        keys = {name: value.detach().clone() for name, value in encoder.state_dict().items()}
        width = int(getattr(encoder, "width", 0))
        if not width:
            raise UsageError("w2pgnn/moco needs an encoder with an embedding width, such as w2pgnn/gin.")
        reference = next(encoder.parameters())
        drawn = torch.rand(self.config.queue, width, generator=torch.Generator().manual_seed(self._seed % 2**63))
        queue = ((2 * drawn - 1) / (width / 3) ** 0.5).to(reference)
        return {"keys": keys, "queue": queue, "index": torch.zeros((), dtype=torch.int64, device=reference.device)}

    def step(self, model: nn.Module, batch: Batch, state: Any) -> tuple[Loss, Any]:
        """Move the key encoder, encode both views, compare, and push the keys into the queue."""
        encoder = unwrap(model)
        keys_of = self._follow(encoder, state["keys"])
        queries = model(view(batch, 0))
        with torch.no_grad():
            # Dropout is off in the key encoder, its batch normalisation goes with its batches, as in the official code.
            keys = torch.func.functional_call(encoder, keys_of, (view(batch, 1),), {"drop": False})
        logits = queue_logits(queries, keys, state["queue"].to(queries.dtype), self.config.temperature)
        queue, index = push(state["queue"], keys, state["index"])
        weight = torch.tensor(float(len(queries)), device=queries.device)
        return Loss(queue_contrast(logits), weight), {"keys": keys_of, "queue": queue, "index": index}

    def _follow(self, encoder: nn.Module, keys: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the key encoder after one momentum update, in memory of its own; its buffers are its own too."""
        parameters = dict(encoder.named_parameters())
        with torch.no_grad():
            return {
                name: value.lerp(parameters[name].to(value.dtype), 1 - self.config.momentum)
                if name in parameters
                else value.clone()
                for name, value in keys.items()
            }


class Masking:
    """Sum of the cross-entropies of hidden nodes and of hidden edges, over all of both."""

    needs: Fields = MASKED

    def __init__(self, config: MaskingConfig) -> None:
        self.config = config

    def __call__(self, model: nn.Module, batch: Batch, /) -> Loss:
        """Return the loss; nodes and edges are parts of their own too.

        Raises UsageError for a model without heads for masking.
        """
        encoder: Any = unwrap(model)
        if getattr(encoder, "node_head", None) is None:
            raise UsageError("w2pgnn/masking needs a model with heads for it; set head: masking.")
        states = encoder.node_states(batch)[-1]
        hidden = batch["hidden"]
        nodes = functional.cross_entropy(encoder.node_head(states[hidden]), batch["node_class"][hidden], reduction="sum")
        a, b = states[batch["pair_index"][0]], states[batch["pair_index"][1]]
        scores = (encoder.edge_head(a) * b).sum(dim=1) / states.shape[1] ** 0.5
        edges = functional.binary_cross_entropy_with_logits(scores, batch["pair_edge"].to(scores.dtype), reduction="sum")
        node_weight = hidden.sum().to(scores.dtype)
        edge_weight = torch.tensor(float(len(scores)), dtype=scores.dtype, device=scores.device)
        parts = {"nodes": Part(nodes.detach(), node_weight), "edges": Part(edges.detach(), edge_weight)}
        return Loss(nodes + self.config.edge_weight * edges, node_weight + self.config.edge_weight * edge_weight, parts)


def build_contrast(config: ContrastConfig, context: Context) -> Contrast:
    """Make the objective `w2pgnn/contrast`."""
    return Contrast(config)


def build_moco(config: MocoConfig, context: Context) -> Moco:
    """Make the objective `w2pgnn/moco`."""
    return Moco(config, context.seed("queue"))


def build_masking(config: MaskingConfig, context: Context) -> Masking:
    """Make the objective `w2pgnn/masking`."""
    return Masking(config)
