"""Speed: a step with each objective beside plain likelihood in the same loop, and training beside transformers' Trainer."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from torch import nn

from omnitrain.api import Bar, Batch, Bench
from omnitrain.engine import OptimiserConfig, Options, isolated, load_recipe, make_optimiser, run_recipe
from omnitrain_language.configs.objectives import CausalNllConfig
from omnitrain_language.masks import accept_masks
from omnitrain_language.objectives import CAUSAL_NEEDS, TokenNll
from omnitrain_phf.configs.models import ValueHeadConfig
from omnitrain_phf.configs.objectives import AwrConfig, ConditionalConfig, RwrConfig, UnlikelihoodConfig
from omnitrain_phf.models.causal import add_value_head
from omnitrain_phf.objectives import Awr, Conditional, Mle, Rwr, Unlikelihood
from omnitrain_phf.paper.alignment import align

VOCABULARY, ROWS, LENGTH, STEPS = 8192, 8, 128, 6
# At most 3 % over a plain step, 10 % for unlikelihood, which reads the probabilities of all tokens.
LIMIT, UNLIKELIHOOD_LIMIT = 1 / 1.03, 1 / 1.10


def small_model(vocabulary: int, value_head: bool = False) -> Any:
    """Return GPT-2 of 4 layers, 128 wide, without dropout; always the same weights."""
    from transformers import GPT2Config, GPT2LMHeadModel

    with isolated(0):
        size = {"vocab_size": vocabulary, "n_positions": LENGTH, "n_embd": 128, "n_layer": 4, "n_head": 4}
        dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
        ids = {"bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0}
        model = GPT2LMHeadModel(GPT2Config(**size, **dropout, **ids, activation_function="gelu_pytorch_tanh"))
    accept_masks(model)
    return add_value_head(model, ValueHeadConfig()) if value_head else model


def _batch(generator: np.random.Generator) -> Batch:
    ids = generator.integers(2, VOCABULARY, (ROWS, LENGTH))
    scores = np.where(generator.random((ROWS, LENGTH)) < 0.2, 0.5, 0.0).astype(np.float32)
    batch: Batch = {name: torch.from_numpy(array) for name, array in align(ids, scores).items()}
    return {**batch, "update_rows": torch.full((ROWS,), ROWS)}


def _step(objective: Any, model: nn.Module, batch: Batch) -> Callable[[], float]:
    """A variant that times updates in a bare loop: forward, backward, clipping, AdamW."""
    optimiser = make_optimiser(OptimiserConfig(), model, 1e-4)

    def measure() -> float:
        begin = process_time()
        for _ in range(STEPS):
            loss = objective(model, batch)
            (loss.total / loss.weight).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        return (process_time() - begin) / STEPS * 1e3

    return measure


def objective_benches() -> list[Bench]:
    """A step with each objective beside plain likelihood."""
    plain = _step(TokenNll(CausalNllConfig(), CAUSAL_NEEDS, ()), small_model(VOCABULARY), _batch(np.random.default_rng(0)))
    candidates: dict[str, tuple[Any, bool]] = {
        "mle": (Mle(), False),
        "conditional": (Conditional(ConditionalConfig()), False),
        "unlikelihood": (Unlikelihood(UnlikelihoodConfig()), False),
        "rwr": (Rwr(RwrConfig()), False),
        "awr": (Awr(AwrConfig()), True),
    }
    found = []
    for name, (objective, head) in candidates.items():
        ours = _step(objective, small_model(VOCABULARY, head), _batch(np.random.default_rng(0)))
        bar = Bar("language/causal-nll", UNLIKELIHOOD_LIMIT if name == "unlikelihood" else LIMIT)
        summary = f"an update of 8 x 128 tokens, GPT-2 4 x 128, vocabulary {VOCABULARY}"
        variants = {f"phf/{name}": ours, "language/causal-nll": plain}
        found.append(Bench(f"step with phf/{name}", summary, "ms a step", f"phf/{name}", variants, bars=(bar,), rounds=7))
    return found


RECIPE = """
stages:
  - name: train
    use: core/fit
    data: {use: phf/scored-text, score: {path: builtin:contacts}, tokenizer: {vocabulary_size: 1024}, length: 128}
    model: MODEL
    objective: {use: phf/OBJECTIVE}
    fit: {steps: 40, batch_size: 8, log_every: 40, checkpoint_every: 0, evaluate_batches: 0, learning_rate: 1e-4}
"""
FEW, MANY = 4, 34
TRAINER = "transformers Trainer"
OBJECTIVES = ("mle", "conditional", "unlikelihood", "rwr", "awr")


def _per_step(run: Callable[[int], None]) -> float:
    """Return CPU milliseconds a step from two runs of different length, so that the set-up does not count."""
    times = []
    for steps in (FEW, MANY):
        begin = process_time()
        run(steps)
        times.append(process_time() - begin)
    return (times[1] - times[0]) / (MANY - FEW) * 1e3


def _core(name: str, steps: int) -> None:
    head = ", value_head: {}" if name == "awr" else ""
    text = RECIPE.replace("MODEL", f"{{use: phf/causal, size: mini, max_length: 128{head}}}").replace("OBJECTIVE", name)
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder) / "bench.yaml"
        recipe.write_text(text, "utf-8")
        run_recipe(load_recipe(str(recipe), [f"train.fit.steps={steps}"]), Path(folder) / "run", Options(quiet=True))


class _Rows(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """As many examples as the Trainer needs, in memory."""

    def __init__(self) -> None:
        self._ids = torch.from_numpy(np.random.default_rng(0).integers(2, 1024, (320, LENGTH)))

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, row: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self._ids[row], "labels": self._ids[row]}


def _trainer(steps: int) -> None:
    """transformers' Trainer with its own loss on a model of the same size, all its extras off."""
    from transformers import PrinterCallback, Trainer, TrainingArguments

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=8,
            learning_rate=1e-4,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            use_cpu=not torch.cuda.is_available(),
            dataloader_pin_memory=False,
        )
        trainer = Trainer(model=small_model(1024), args=arguments, train_dataset=_Rows())
        trainer.remove_callback(PrinterCallback)
        trainer.train()


def trainer_benches() -> list[Bench]:
    """The training loop with each objective beside transformers' Trainer."""
    peers: dict[str, Callable[[], float]] = {}
    try:
        import accelerate  # noqa: F401
    except ImportError:
        absent: tuple[str, ...] = (TRAINER,)
    else:
        absent, peers = (), {TRAINER: lambda: _per_step(_trainer)}
    found = []
    for name in OBJECTIVES:
        ours = f"core/fit with phf/{name}"
        variants = {ours: lambda name=name: _per_step(partial(_core, name)), **peers}  # type: ignore[misc]
        summary = "an update of 8 x 128 tokens, GPT-2 4 x 128, vocabulary 1024; the Trainer with plain likelihood"
        bars = (Bar(TRAINER, 1.0),) if peers else ()
        made = Bench(f"training loop with phf/{name}", summary, "ms a step", ours, variants, bars=bars, absent=absent, rounds=3)
        found.append(made)
    return found
