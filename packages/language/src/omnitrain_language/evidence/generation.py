"""Generation over a data set: prompts of like length side by side, beside one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from time import process_time
from typing import Any

import numpy as np
import torch

from omnitrain.api import Bar, Bench
from omnitrain_language.generating import generate_rows
from omnitrain_language.sampling import GenerationSettings
from omnitrain_language.writing import by_length

PROMPTS, LONGEST, WRITTEN = 128, 96, 24


def generation_bench() -> Bench:
    """Return the bench of a small GPT-2 that answers prompts of 4 to LONGEST tokens."""
    lengths = np.random.default_rng(1).integers(4, LONGEST, PROMPTS).tolist()
    prompts = [[2 + (7 * i + 3 * place) % 500 for place in range(length)] for i, length in enumerate(lengths)]
    settings, model = GenerationSettings(WRITTEN, min_new_tokens=WRITTEN), _small_model()

    def seconds(batches: Iterable[Sequence[int]]) -> Callable[[], float]:
        chosen = list(batches)

        def measure() -> float:
            began = process_time()
            for places in chosen:
                generate_rows(model, [prompts[place] for place in places], settings, [1], 0)
            return sum(map(len, chosen)) * WRITTEN / (process_time() - began)

        return measure

    size = 32
    few = by_length(lengths[:: PROMPTS // 16], 1)
    variants = {
        "by length": seconds(by_length(lengths, size)),
        "as they come": seconds([range(first, first + size) for first in range(0, PROMPTS, size)]),
        "one by one": seconds([[place * (PROMPTS // 16) for place in places] for places in few]),
    }
    return Bench(
        name="generation over a data set",
        summary=f"{PROMPTS} prompts of 4 to {LONGEST} tokens, {WRITTEN} new ones each, {size} at a time.",
        unit="tokens/s",
        ours="by length",
        variants=variants,
        higher_is_better=True,
        bars=(Bar("one by one", 4.0),),
        rounds=3,
    )


def _small_model() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sizes = {"n_embd": 128, "n_layer": 4, "n_head": 4, "n_positions": 128, "vocab_size": 512}
        return GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=1, eos_token_id=1)).eval()
