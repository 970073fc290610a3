"""What a step costs over a bare PyTorch loop, beside the trainers that are installed."""

from __future__ import annotations

import shutil
import statistics
import time
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from omnitrain.api import BatchPlan
from omnitrain.api.bench import Bar, Bench
from omnitrain.benches.language_model import (
    SIZES,
    MeanLoss,
    Rows,
    Size,
    make_model,
    one_thread,
    scratch,
)
from omnitrain.engine.batches import make_feed
from omnitrain.engine.engine import Engine
from omnitrain.engine.loop import Loop
from omnitrain.engine.parts import Parts
from omnitrain.engine.scratch import scratch_run
from omnitrain.engine.settings import FitSettings
from omnitrain.engine.validation import Validation

RATE = 3e-4


class _Clock:
    """CPU time from the start of one forward pass to the start of the next, the same way for every stack."""

    def __init__(self, model: nn.Module) -> None:
        self.stamps: list[float] = []
        body: nn.Module = model.transformer  # type: ignore[assignment]
        body.register_forward_pre_hook(lambda *_: self.stamps.append(time.process_time()))

    def median(self) -> float:
        """Return the median in microseconds; the first sixth warms up."""
        return statistics.median(self._steps()) * 1e6

    def mean(self) -> float:
        """Return the mean in microseconds, so that what happens in few steps counts too."""
        return statistics.fmean(self._steps()) * 1e6

    def _steps(self) -> list[float]:
        steps = [b - a for a, b in pairwise(self.stamps)]
        return steps[max(3, len(steps) // 6) :]


def ours(size: Size, steps: int, activation: str = "gelu_new", precision: Any = "float32", everything: bool = False) -> float:
    """Time our loop: clipping, schedule, shuffled batches; with logging and checkpoints too if `everything`."""
    model = make_model(size, activation)
    clock = _Clock(model)
    settings = FitSettings(
        steps=steps,
        batch_size=size.rows,
        learning_rate=RATE,
        precision=precision,
        log_every=1 if everything else 10,
        checkpoint_every=max(steps // 2, 1) if everything else 0,
    )
    parts = Parts(Rows(size, (steps + 1) * size.rows), model, MeanLoss())
    feed = make_feed(parts.data, "train", BatchPlan(size.rows, 0))
    engine = Engine(precision, "cpu")
    with scratch_run(writes=everything) as run:
        validation = Validation(run, parts, engine, settings)
        Loop(settings, run, engine, model, parts.objective, feed, validation).train()
    return clock.mean() if everything else clock.median()


def bare(size: Size, steps: int, full: bool = False, mean: bool = False) -> float:
    """Time a hand-written loop; `full` adds what trainers do: a DataLoader, clipping and a schedule."""
    model = make_model(size)
    clock = _Clock(model)
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0, fused=True)
    ids = Rows(size, (steps + 1) * size.rows).ids
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda s: max(0.0, 1 - s / (steps + 1))) if full else None
    loader = iter(torch.utils.data.DataLoader(ids, batch_size=size.rows, shuffle=True)) if full else None  # type: ignore[arg-type]
    for step in range(steps):
        rows = next(loader) if loader is not None else ids[step * size.rows : (step + 1) * size.rows]
        model(input_ids=rows, labels=rows).loss.backward()
        if schedule is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if schedule is not None:
            schedule.step()
        optimiser.zero_grad(set_to_none=True)
    return clock.mean() if mean else clock.median()


def accelerate_loop(size: Size, steps: int) -> float:
    """Time the loop that accelerate documents, with the same work."""
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    model = make_model(size)
    clock = _Clock(model)
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, fused=True)
    ids = Rows(size, (steps + 1) * size.rows).ids
    loader: Any = torch.utils.data.DataLoader(ids, batch_size=size.rows, shuffle=True, drop_last=True)  # type: ignore[arg-type]
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda s: max(0.0, 1 - s / (steps + 1)))
    model, optimiser, loader, schedule = accelerator.prepare(model, optimiser, loader, schedule)
    model.train()
    for rows in loader:
        with accelerator.accumulate(model):
            accelerator.backward(model(input_ids=rows, labels=rows).loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            optimiser.zero_grad()
    return clock.median()


def trainer_loop(size: Size, steps: int) -> float:
    """Time transformers' Trainer with reporting, saving and its bar off."""
    from transformers import Trainer, TrainingArguments

    model = make_model(size)
    clock = _Clock(model)
    ids = Rows(size, (steps + 1) * size.rows).ids
    folder = scratch()
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=size.rows,
        max_steps=steps + 1,
        learning_rate=RATE,
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
        save_strategy="no",
        logging_strategy="no",
    )
    examples = [{"input_ids": row, "labels": row} for row in ids]
    Trainer(model=model, args=arguments, train_dataset=examples).train()
    shutil.rmtree(folder)
    return clock.median()


def fixed_cost_bench() -> Bench | None:
    """Fixed cost of a step at null model size."""
    if find_spec("transformers") is None:
        return None
    size, steps = SIZES["null"], 250
    variants = {
        "bare": partial(bare, size, steps),
        "omnitrain": partial(ours, size, steps),
        "hand-written loop with the same work": partial(bare, size, steps, full=True),
        "accelerate": partial(accelerate_loop, size, steps),
        "transformers Trainer": partial(trainer_loop, size, steps),
    }
    return Bench(
        name="fixed cost of a step",
        summary="GPT-2 of 5 k parameters, one thread: CPU time over a bare forward-backward-AdamW loop.",
        unit="us a step over bare",
        ours="omnitrain",
        variants={name: one_thread(run) for name, run in variants.items()},
        over="bare",
        bars=(
            Bar("hand-written loop with the same work", 0.93),
            Bar("accelerate", 1.8),
            Bar("transformers Trainer", 2.8),
        ),
        notes={"bars": "300 us where the hand-written loop with that work costs 279, as ratios."},
    )


def real_size_bench() -> Bench | None:
    """A step at 10 M parameters against a bare loop."""
    if find_spec("transformers") is None:
        return None
    size, steps = SIZES["10m"], 8
    variants = {
        "bare": partial(bare, size, steps),
        "omnitrain": partial(ours, size, steps),
    }
    return Bench(
        name="step at 10 M parameters",
        summary="GPT-2 of 10.5 M parameters, 8 rows of 128, one thread.",
        unit="us a step",
        ours="omnitrain",
        variants={name: one_thread(run) for name, run in variants.items()},
        bars=(Bar("bare", 1 / 1.02),),
        rounds=4,
    )


def everything_bench() -> Bench | None:
    """A step at 10 M parameters with logging, metrics and checkpoints on."""
    if find_spec("transformers") is None:
        return None
    size, steps = SIZES["10m"], 24
    variants = {
        "bare": partial(bare, size, steps, mean=True),
        "omnitrain, logging every step, a checkpoint every 12": partial(ours, size, steps, everything=True),
    }
    return Bench(
        name="everything on at 10 M parameters",
        summary="As before; mean of all steps, with the processor time of the thread that writes 120 MiB checkpoints.",
        unit="us a step",
        ours="omnitrain, logging every step, a checkpoint every 12",
        variants={name: one_thread(run) for name, run in variants.items()},
        bars=(Bar("bare", 1 / 1.03),),
        rounds=3,
    )


def precision_bench() -> Bench | None:
    """Our bf16 with a fused activation against stock float32 GPT-2."""
    if find_spec("transformers") is None:
        return None
    size, steps = SIZES["10m"], 8
    variants = {
        "omnitrain, bf16 and gelu_pytorch_tanh": partial(ours, size, steps, "gelu_pytorch_tanh", "bf16"),
        "bare, float32 stock GPT-2": partial(bare, size, steps),
    }
    return Bench(
        name="bf16 on the CPU",
        summary="GPT-2 of 10.5 M parameters, 8 rows of 128, one thread; gains need a CPU with AMX or AVX-512 bf16.",
        unit="us a step",
        ours="omnitrain, bf16 and gelu_pytorch_tanh",
        variants={name: one_thread(run) for name, run in variants.items()},
        bars=(Bar("bare, float32 stock GPT-2", 1.8),),
        rounds=4,
    )
