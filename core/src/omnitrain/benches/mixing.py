"""What mixing data costs: a mixture beside each of its parts alone."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from omnitrain.api import Batch, BatchPlan, UseData
from omnitrain.api.bench import Bar, Bench
from omnitrain.benches.data import LENGTH, ROWS, TokenRows
from omnitrain.engine.batches import make_feed
from omnitrain.mixture.configs import MemberConfig, MixtureConfig
from omnitrain.mixture.data import Mixture
from omnitrain.mixture.members import Member

TEXTS, BATCHES = 4096, 60


class TextRows:
    """Rows as lines of JSON of different lengths, read and padded one by one."""

    batch: Mapping[str, str] = {"input_ids": "int64[batch, length]"}
    fingerprint = "0" * 16

    def __init__(self, generator: np.random.Generator) -> None:
        lengths = generator.integers(LENGTH // 2, LENGTH + 1, TEXTS)
        self.lines = [json.dumps(generator.integers(0, 50_000, size).tolist()) for size in lengths.tolist()]

    def splits(self) -> list[str]:
        """Name the only split."""
        return ["train"]

    def examples(self, split: str) -> list[str]:
        """Return the lines."""
        return self.lines

    def collate(self, examples: Sequence[str]) -> Batch:
        """Read lines and pad them."""
        rows = [torch.tensor(json.loads(line)) for line in examples]
        return {"input_ids": torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)}


def mixed(unit: Any, parts: Mapping[str, Any]) -> Mixture:
    """Return a mixture of equal shares."""
    configs = {name: MemberConfig(data=UseData(use=f"bench/{name}")) for name in parts}
    members = [Member(name, k, data, configs[name], f"bench/{name}") for k, (name, data) in enumerate(parts.items())]
    return Mixture(MixtureConfig(members=configs, unit=unit), members)


def _rate(data: Any) -> float:
    feed = make_feed(data, "train", BatchPlan(ROWS, 0))
    feed.next()
    started = time.process_time()
    for _ in range(BATCHES):
        feed.next()
    return BATCHES * ROWS / (time.process_time() - started) / 1e3


def mixture_bench() -> Bench:
    """Examples a second of a mixture and of its parts."""
    generator = np.random.default_rng(0)
    quick = TokenRows(generator.integers(0, 50_000, TEXTS * LENGTH).astype(np.uint16))
    slow = TextRows(generator)
    parts = {"quick": quick, "slow": slow}
    variants = {f"core/mixture by {unit}": partial(_rate, mixed(unit, parts)) for unit in ("example", "update")}
    variants["core/mixture of two slow parts"] = partial(_rate, mixed("update", {"one": slow, "other": slow}))
    return Bench(
        name="mixture of data",
        summary=f"Equal shares of a token file and of lines of JSON read one by one, batches of {ROWS}, one process.",
        unit="k examples/s",
        ours="core/mixture by example",
        variants={**variants, "its slow part": partial(_rate, slow), "its quick part": partial(_rate, quick)},
        higher_is_better=True,
        bars=(Bar("its slow part", 0.97),),
    )
