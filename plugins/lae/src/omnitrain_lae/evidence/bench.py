"""Speed of a training step, of averaging, of frozen epochs, of both experts in one pass, and of prefix attention."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import process_time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from omnitrain.api import Bar, Batch, Bench, Fields
from omnitrain.engine import Engine, scratch_run
from omnitrain_lae.configs.stages import ContinualConfig
from omnitrain_lae.models.backbone import Backbone
from omnitrain_lae.models.learner import ONLINE, Learner
from omnitrain_lae.paper.calibration import calibrated_prefix, explicit_prefix_attention, fast_prefix_attention
from omnitrain_lae.stages.losslog import LossLog
from omnitrain_lae.stages.training import Task, TaskTraining
from omnitrain_tuning.adapter import AdapterPet
from omnitrain_tuning.lora import LoraPet
from omnitrain_tuning.methods import Pet

WIDTH, DEPTH, HEADS, SIZE, PATCH = 192, 12, 3, 64, 8
BATCH, CLASSES, RANK = 24, 10, 5
BLOCKS = (0, 1, 2, 3, 4)
RATE, DECAY = 1e-3, 0.9999


def backbone(depth: int = DEPTH) -> nn.Module:
    """Return a ViT of transformers with the width of ViT-Ti on images of 64 pixels (65 tokens)."""
    from transformers import ViTConfig, ViTModel

    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=WIDTH,
        num_hidden_layers=depth,
        num_attention_heads=HEADS,
        intermediate_size=4 * WIDTH,
        image_size=SIZE,
        patch_size=PATCH,
        attn_implementation="sdpa",
    )
    model: nn.Module = ViTModel(config, add_pooling_layer=False).eval()
    return model


class _OneBatch:
    """Two tasks of which every batch is the same, so that nothing but learning is timed."""

    fingerprint = "0" * 16

    def __init__(self) -> None:
        self.batch: Fields = {"pixel_values": f"float32[batch, 3, {SIZE}, {SIZE}]", "labels": "int64[batch]"}
        self._images = torch.randn(BATCH, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))

    def splits(self) -> Sequence[str]:
        return [f"{part}/{number}" for part in ("train", "test") for number in (1, 2)]

    def examples(self, split: str) -> range:
        return range(BATCH)

    def collate(self, examples: Sequence[int]) -> Batch:
        return self.gather("train/1", np.asarray(examples))

    def gather(self, split: str, rows: np.ndarray) -> Batch:
        first = CLASSES if split.endswith("2") else 0
        return {"pixel_values": self._images, "labels": first + torch.arange(BATCH) % CLASSES}


def _training(pet: Pet, frozen: bool, cache: bool = False) -> TaskTraining:
    """Return the shipped training in its second task, with theta_on trained or frozen."""
    torch.set_num_threads(1)
    settings = {
        "data": {"use": "lae/class-incremental"},
        "model": {"use": "lae/vision"},
        "epochs": 10**6,
        "freeze_epochs": 10**6 if frozen else 0,
        "batch_size": BATCH,
        "learning_rate": RATE,
        "accumulation": {"decay": DECAY},
        "cache_features": cache,
        "device": "cpu",
    }
    config, data = ContinualConfig.model_validate(settings), _OneBatch()
    learner = Learner(Backbone(backbone()), pet)
    learner.measure(data.gather("train/1", np.arange(1)))
    for _ in range(2):
        learner.add_head(CLASSES)
    learner.start_offline(1)
    with scratch_run() as run:
        losses = LossLog(run, config.log_every, config.skip_nonfinite)
        return TaskTraining(Task(config, data, 1, [CLASSES, CLASSES]), learner, Engine(device="cpu"), 0, losses)


def _shipped(pet: Callable[[], Pet], frozen: bool = False, cache: bool = False) -> Callable[[], float]:
    return _timed(_training(pet(), frozen, cache).one_step)


class _HandAdapted(nn.Module):
    """An attention sub-layer with an adapter beside it, written by hand."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention
        self.down, self.up = nn.Linear(WIDTH, RANK), nn.Linear(RANK, WIDTH)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Any]:
        output, weights = self.attention(hidden_states, *args, **kwargs)
        return output + self.scale * self.up(F.gelu(self.down(hidden_states))), weights


def _by_hand() -> Callable[[], float]:
    """The peer: a bare loop over one batch with the same model, loss, optimiser and average."""
    torch.set_num_threads(1)
    model: Any = backbone().requires_grad_(False)
    for number in BLOCKS:
        model.layers[number].attention = _HandAdapted(model.layers[number].attention)
    head = nn.Linear(WIDTH, CLASSES)
    online = [p for p in model.parameters() if p.requires_grad]
    offline = [p.detach().clone() for p in online]
    live = [p.detach() for p in online]
    optimiser = torch.optim.Adam([*head.parameters(), *online], lr=RATE, fused=True)
    batch = _OneBatch().gather("train/1", np.arange(BATCH))

    def step() -> None:
        features = model(pixel_values=batch["pixel_values"]).last_hidden_state[:, 0]
        loss = F.cross_entropy(head(features), batch["labels"])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        torch._foreach_lerp_(offline, live, 1 - DECAY)

    return _timed(step)


def _timed(work: Callable[[], Any], repeats: int = 3) -> Callable[[], float]:
    """A variant that gives milliseconds of CPU time of one call; the first call is not counted."""
    work()

    def measure() -> float:
        begin = process_time()
        for _ in range(repeats):
            work()
        return (process_time() - begin) / repeats * 1e3

    return measure


def _averaging() -> Callable[[], float]:
    learner = _training(AdapterPet(RANK, BLOCKS), False).learner
    return _timed(lambda: learner.accumulate(DECAY, "corrected"), 200)


def _passes(blocks: Sequence[int]) -> Mapping[str, Callable[[], float]]:
    """Both experts in one pass, in two, and one alone."""
    learner = Learner(Backbone(backbone()), AdapterPet(RANK, blocks))
    learner.start_offline(1)
    batch = _OneBatch().gather("train/1", np.arange(BATCH))

    @torch.no_grad()
    def together() -> None:
        learner.expert_features(batch, [ONLINE, "offline"])

    @torch.no_grad()
    def separately() -> None:
        for name in (ONLINE, "offline"):
            learner.expert_features(batch, [name])

    @torch.no_grad()
    def alone() -> None:
        learner.expert_features(batch, [ONLINE])

    return {"one pass": _timed(together), "two passes": _timed(separately), "one expert": _timed(alone)}


def _attention(tokens: int = 197, heads: int = 12, rows: int = 8, prefix: int = 10) -> Mapping[str, Callable[[], float]]:
    """Prefix attention of a block of ViT-B, forward and backward."""
    torch.manual_seed(0)
    inputs = [torch.randn(rows, heads, tokens, 64, requires_grad=True) for _ in range(3)]
    inputs += [torch.randn(1, heads, prefix, 64, requires_grad=True) for _ in range(2)]

    def run(attend: Callable[..., Tensor]) -> Callable[[], float]:
        return _timed(lambda: torch.autograd.grad(attend(*inputs).sum(), inputs))

    return {"fused": run(fast_prefix_attention), "by the formula": run(explicit_prefix_attention)}


def benches() -> list[Bench]:
    """All comparisons; what is a ratio of a step to a step is measured on the same model, batch and optimiser."""
    torch.set_num_threads(1)
    adapter = lambda: AdapterPet(RANK, BLOCKS)  # noqa: E731
    step = {
        "lae/continual": _shipped(adapter),
        "by hand": _by_hand(),
        "LoRA": _shipped(lambda: LoraPet(RANK, BLOCKS)),
        "prefix": _shipped(lambda: calibrated_prefix(10, BLOCKS)),
    }
    frozen = {
        "frozen": _shipped(adapter, frozen=True),
        "frozen, features cached": _shipped(adapter, frozen=True, cache=True),
        "tuned": _shipped(adapter),
    }
    averaging = {"averaging": _averaging(), "whole step": _shipped(adapter)}
    unit = "ms a step"
    found = [
        Bench(
            "training step, Adapter5",
            f"12-block ViT, {BATCH} images",
            unit,
            "lae/continual",
            step,
            bars=(Bar("by hand", 1 / 1.05),),
        ),
        Bench("averaging", "theta_off after a step", unit, "averaging", averaging, bars=(Bar("whole step", 100.0),)),
        Bench("frozen epochs", "no graph below the head", unit, "frozen", frozen, bars=(Bar("tuned", 1.6),)),
    ]
    for first in (0, 7, 9):
        blocks = range(first, min(first + len(BLOCKS), DEPTH))
        # What lies before the first adapter is computed once; the rest is twice the arithmetic, in one pass or in two.
        least = 2 - first / DEPTH
        summary = f"online and offline features of one batch; at least {least:.2f} times the arithmetic of one expert"
        bars = (Bar("one expert", 1 / 1.3),) if least < 1.3 else ()
        name = f"both experts, adapters on blocks {blocks[0]}-{blocks[-1]}"
        found.append(Bench(name, summary, "ms a batch", "one pass", _passes(blocks), bars=bars))
    found.append(Bench("prefix attention", "197 tokens, 12 heads, 8 images, forward and backward", "ms", "fused", _attention()))
    return found
