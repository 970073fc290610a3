"""A short pre-training run by strategy: data, loss and optimiser as GCC sets them, for many selections in a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from omnitrain.api import BatchPlan, Run, UseData
from omnitrain.engine import Engine, Guard, isolated, to_device
from omnitrain_w2pgnn.configs.data import AugmentationsConfig, MaskedConfig, WalksConfig
from omnitrain_w2pgnn.configs.models import GinConfig
from omnitrain_w2pgnn.configs.objectives import ContrastConfig, MaskingConfig, MocoConfig
from omnitrain_w2pgnn.configs.stages import PretrainConfig
from omnitrain_w2pgnn.data.augmentations import Augmentations
from omnitrain_w2pgnn.data.collection import Held
from omnitrain_w2pgnn.data.masked import Masked
from omnitrain_w2pgnn.data.views import Views
from omnitrain_w2pgnn.data.walks import Walks
from omnitrain_w2pgnn.models import CLASSES, GraphEncoder
from omnitrain_w2pgnn.objectives import Contrast, Masking, Moco

HEADS: dict[str, Any] = {"gcc-e2e": "none", "gcc-moco": "none", "graphcl": "projection", "masking": "masking"}
WARM_UP = 0.1
AVERAGED = 10


def make_views(strategy: str, held: Held, config: PretrainConfig, positions: int, run: Run) -> Views:
    """Return the batches of a strategy."""
    # Never built: the graphs are handed over.
    use = UseData(use="w2pgnn/graphs")
    shared: dict[str, Any] = {"graphs": use, "positions": positions, "visits": config.visits, "restart": config.restart}
    if strategy.startswith("gcc"):
        return Walks(WalksConfig(**shared, max_visits=4 * config.visits), run, held)
    if strategy == "graphcl":
        return Augmentations(AugmentationsConfig(**shared, share=config.share), run, held)
    return Masked(MaskedConfig(**shared), run, held)


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
    """first, last: mean loss of the first and last ten updates. chance: the loss of equal similarities."""

    first: float
    last: float
    chance: float | None


def pretrain(
    strategy: str, held: Held, encoder: GraphEncoder, config: PretrainConfig, positions: int, run: Run, label: str
) -> Pretrained:
    """Train an encoder where it lies. label: of its random streams "LABEL data", "LABEL queue" and "LABEL dropout".

    The loop is its own: hundreds of such trainings run in one stage, too short for lines and checkpoints each.
    Raises NumericalError at the first update that is not finite, and Stopped on request.
    """
    views = make_views(strategy, held, config, positions, run)
    objective = make_objective(strategy, config, run.seed(f"{label} queue"))
    batches = iter(views.batches("train", BatchPlan(config.batch_size, run.seed(f"{label} data") % 2**63)))
    engine, guard = Engine("float32", str(next(encoder.parameters()).device)), Guard(run, allowed=0)
    encoder.train()
    optimiser = torch.optim.Adam(encoder.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    losses: list[float] = []
    chance: float | None = None
    state: Any = None
    with isolated(run.seed(f"{label} dropout")):
        for step in range(1, config.steps + 1):
            for group in optimiser.param_groups:
                group["lr"] = rate_of(config, step)
            drawn = next(batches)
            batch = to_device(drawn, engine.device)
            if isinstance(objective, Moco):
                state = objective.initial_state(encoder, batch) if state is None else state
                loss, state = objective.step(encoder, batch, state)
            else:
                loss = objective(encoder, batch)
            part = loss.parts.get("chance")
            chance = float(part.total) / float(part.weight) if part is not None else chance
            mean = loss.total / loss.weight
            engine.backward(mean)
            update = engine.update(optimiser, loss=mean, clip_value=config.clip_value)
            guard.note(step, bool(update.applied), drawn["example_ids"].tolist())
            losses.append(float(mean.detach()))
            run.stop_if_asked()
    ends = (losses[:AVERAGED], losses[-AVERAGED:])
    first, last = (sum(part) / len(part) if part else float("nan") for part in ends)
    return Pretrained(first, last, chance)


def rate_of(config: PretrainConfig, step: int) -> float:
    """Return the learning rate of update 1, 2, ...: linearly up over the first tenth, then linearly to 0."""
    warm = max(1, int(WARM_UP * config.steps))
    factor = min(step / warm, (config.steps - step + 1) / max(config.steps - warm, 1), 1.0)
    return config.learning_rate * factor
