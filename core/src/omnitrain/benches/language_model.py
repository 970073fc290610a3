"""The model, data and objective that the loop's benches train: GPT-2 where transformers is installed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from omnitrain.api import Batch, Loss


@dataclass(frozen=True)
class Size:
    """Vocabulary, width, layers, heads, rows and tokens of a step."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    rows: int
    length: int


SIZES = {
    "null": Size(64, 16, 1, 2, 8, 16),
    "1m": Size(1000, 128, 4, 4, 8, 128),
    "10m": Size(4000, 384, 5, 6, 8, 128),
}


def make_model(size: Size, activation: str = "gelu_new") -> nn.Module:
    """Return GPT-2 of that size without dropout, always with the same weights."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=size.vocabulary,
        n_positions=size.length,
        n_embd=size.width,
        n_layer=size.layers,
        n_head=size.heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        use_cache=False,
        bos_token_id=0,
        eos_token_id=0,
        activation_function=activation,
    )
    model: nn.Module = GPT2LMHeadModel(config)
    return model


class Rows:
    """Random token rows, gathered at once or given one by one."""

    batch: Mapping[str, str] = {"input_ids": "int64[batch, length]"}
    fingerprint = "0" * 16

    def __init__(self, size: Size, count: int) -> None:
        generator = torch.Generator().manual_seed(1)
        self.ids = torch.randint(1, size.vocabulary, (count, size.length), generator=generator)

    def splits(self) -> Sequence[str]:
        """Name the only split."""
        return ["train"]

    def examples(self, split: str) -> Tensor:
        """Return the rows."""
        return self.ids

    def collate(self, examples: Sequence[Tensor]) -> Batch:
        """Stack rows."""
        return {"input_ids": torch.stack(list(examples))}

    def gather(self, split: str, rows: np.ndarray) -> Batch:
        """Return rows by number."""
        return {"input_ids": self.ids[torch.from_numpy(rows)]}


class MeanLoss:
    """The model's own mean loss as a sum, so that every stack computes the same."""

    needs: Mapping[str, str] = {"input_ids": "int64[batch, length]"}

    def __call__(self, model: nn.Module, batch: Batch, /) -> Loss:
        """Return the loss of a batch."""
        ids = batch["input_ids"]
        count = float(ids.shape[0] * (ids.shape[1] - 1))
        return Loss(model(input_ids=ids, labels=ids).loss * count, count)


def scratch() -> Path:
    """Return a new folder for one measurement."""
    return Path(tempfile.mkdtemp(prefix="omnitrain-bench-"))


def one_thread(run: Callable[[], float]) -> Callable[[], float]:
    """Return a measurement that is made with one thread of torch."""

    def measured() -> float:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return run()
        finally:
            torch.set_num_threads(threads)

    return measured
