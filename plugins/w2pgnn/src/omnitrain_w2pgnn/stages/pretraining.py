"""A short pre-training run by strategy: data, loss and optimiser as GCC sets them, for many selections in a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from omnitrain.api import BatchPlan, Loss, UseData
from omnitrain.engine import isolated, to_device
from omnitrain_w2pgnn.configs.data import AugmentationsConfig, MaskedConfig, WalksConfig
from omnitrain_w2pgnn.configs.models import GinConfig
from omnitrain_w2pgnn.configs.objectives import ContrastConfig, MaskingConfig, MocoConfig
from omnitrain_w2pgnn.configs.stages import PretrainConfig
from omnitrain_w2pgnn.data.augmentations import Augmentations
from omnitrain_w2pgnn.data.masked import Masked
from omnitrain_w2pgnn.data.views import Views
from omnitrain_w2pgnn.data.walks import Walks
from omnitrain_w2pgnn.graphs.structure import Graphs
from omnitrain_w2pgnn.models import CLASSES, GraphEncoder
from omnitrain_w2pgnn.objectives import Contrast, Masking, Moco

HEADS: dict[str, Any] = {"gcc-e2e": "none", "gcc-moco": "none", "graphcl": "projection", "masking": "masking"}
WARM_UP = 0.1
AVERAGED = 10


@dataclass(frozen=True)
class Held:
    """Graphs as data: what pre-training data asks for."""

    graphs: tuple[Graphs, Graphs]
    fingerprint: str

    def network(self) -> Graphs:
        """Return the graphs to walk on."""
        return self.graphs[0]

    def samples(self) -> Graphs:
        """Return the samples."""
        return self.graphs[1]


class _Context:
    """The part of a context that pre-training data needs: its graphs are there already."""

    def __init__(self, held: Held, seed: Callable[[str], int]) -> None:
        self._held, self.seed = held, seed
        self.workspace: Any = None
        self.facts: Mapping[str, Any] = {}

    def build(self, use: Any, facts: Any = None) -> Held:
        return self._held


def make_views(strategy: str, held: Held, config: PretrainConfig, positions: int, seed: Callable[[str], int]) -> Views:
    """Return the batches of a strategy."""
    context: Any = _Context(held, seed)
    # Never built: the graphs are handed over.
    use = UseData(use="w2pgnn/graphs")
    shared: dict[str, Any] = {"graphs": use, "positions": positions, "visits": config.visits, "restart": config.restart}
    if strategy.startswith("gcc"):
        return Walks(WalksConfig(**shared, max_visits=4 * config.visits), context)
    if strategy == "graphcl":
        return Augmentations(AugmentationsConfig(**shared, share=config.share), context)
    return Masked(MaskedConfig(**shared), context)


def make_objective(strategy: str, config: PretrainConfig, seed: int) -> Any:
    """Return the loss of a strategy."""
    if strategy == "gcc-e2e":
        return Contrast(ContrastConfig(temperature=config.temperature))
    if strategy == "gcc-moco":
        return Moco(MocoConfig(queue=config.queue, momentum=config.momentum, temperature=config.temperature), seed)
    if strategy == "graphcl":
        return Contrast(ContrastConfig(form="nt-xent", temperature=config.graphcl_temperature))
    return Masking(MaskingConfig())


def make_encoder(strategy: str, config: GinConfig, positions: int, seed: int) -> GraphEncoder:
    """Return an encoder with the head of a strategy; the same seed gives the same weights."""
    with isolated(seed):
        return GraphEncoder(config.model_copy(update={"head": HEADS[strategy]}), positions, CLASSES)


@dataclass(frozen=True)
class Pretrained:
    """encoder: trained. first, last: mean loss of the first and last ten updates. chance: the loss of equal similarities."""

    encoder: GraphEncoder
    first: float
    last: float
    chance: float | None


def pretrain(
    strategy: str,
    held: Held,
    encoder: GraphEncoder,
    config: PretrainConfig,
    positions: int,
    device: torch.device,
    seed: Callable[[str], int],
    tick: Callable[[], None],
) -> Pretrained:
    """Train an encoder. tick: called after every update; may raise to stop."""
    views = make_views(strategy, held, config, positions, seed)
    objective = make_objective(strategy, config, seed("queue"))
    batches = iter(views.batches("train", BatchPlan(config.batch_size, seed("data") % 2**63)))
    encoder.to(device).train()
    optimiser = torch.optim.Adam(encoder.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    losses: list[float] = []
    chance: float | None = None
    state: Any = None
    with isolated(seed("dropout")):
        for step in range(config.steps):
            set_rate(optimiser, config, step)
            batch = to_device(next(batches), device)
            if isinstance(objective, Moco):
                state = objective.initial_state(encoder, batch) if state is None else state
                loss, state = objective.step(encoder, batch, state)
            else:
                loss = objective(encoder, batch)
            part = loss.parts.get("chance")
            chance = float(part.total) / float(part.weight) if part is not None else chance
            losses.append(_update(encoder, optimiser, loss, config.clip_value))
            tick()
    ends = (losses[:AVERAGED], losses[-AVERAGED:])
    first, last = (sum(part) / len(part) if part else float("nan") for part in ends)
    return Pretrained(encoder, first, last, chance)


def set_rate(optimiser: torch.optim.Optimizer, config: PretrainConfig, step: int) -> None:
    """Set the learning rate of update 0, 1, ...: linearly up over the first tenth, then linearly to 0."""
    warm = max(1, int(WARM_UP * config.steps))
    factor = min((step + 1) / warm, (config.steps - step) / max(config.steps - warm, 1), 1.0)
    for group in optimiser.param_groups:
        group["lr"] = config.learning_rate * factor


def _update(encoder: nn.Module, optimiser: torch.optim.Optimizer, loss: Loss, clip: float | None) -> float:
    mean = loss.total / loss.weight
    optimiser.zero_grad()
    mean.backward()  # type: ignore[no-untyped-call]
    if clip is not None:
        nn.utils.clip_grad_value_(encoder.parameters(), clip)
    optimiser.step()
    return float(mean.detach())
