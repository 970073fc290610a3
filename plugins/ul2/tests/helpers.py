"""Predictors whose answers are known, tiny models, and what test_memory runs in a process of its own."""

import json
import resource
import sys
from pathlib import Path

import numpy as np
import torch

from omnitrain.api import BatchPlan
from omnitrain_language.configs.data import TextConfig
from omnitrain_language.configs.models import CausalConfig, T5Config
from omnitrain_language.data.text import TextData
from omnitrain_language.models import build_causal, build_t5
from omnitrain_language.predictor import LanguagePredictor
from omnitrain_testing.contexts import FakeContext
from omnitrain_ul2.configs.data import DenoisingConfig
from omnitrain_ul2.data.denoising import DenoisingData

LAYOUTS = ["encoder-decoder", "decoder-only"]


def predictor_of(data, context, layout):
    context.facts = data.facts()
    if layout == "decoder-only":
        model = build_causal(CausalConfig(size="tiny", style="llama", prefix_attention=True), context)
    else:
        model = build_t5(T5Config(size="tiny"), context)
    return LanguagePredictor(model.eval(), data.tokenizer)


class Uniform:
    """Gives every target token of the loss the same log-probability, a better one among fewer ids."""

    def score(self, batch):
        return torch.where(batch["loss_weights"] > 0, -2.0, 0.0)

    def score_without(self, batch, excluded):
        return torch.where(torch.isin(batch["labels"], excluded), -torch.inf, 0.5 * self.score(batch))


class ScoresOnly:
    """Cannot leave ids out."""

    score = Uniform.score


MB = 2**20


def write(path, megabytes):
    """Documents of 20 to 3000 words out of 3000."""
    random = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnop"))
    words = np.array(["".join(random.choice(letters, random.integers(2, 9))) for _ in range(3000)])
    with path.open("w", encoding="utf-8") as file:
        while file.tell() < megabytes * MB:
            file.write(json.dumps({"text": " ".join(words[random.integers(3000, size=random.integers(20, 3000))])}) + "\n")


def prepare(folder, megabytes):
    path = folder / f"{megabytes}.jsonl"
    write(path, megabytes)
    settings = {"inputs_length": 512, "tokenizer": {"vocabulary_size": 4096, "sentinels": 128, "train_characters": 200_000}}
    data = DenoisingData(DenoisingConfig.model_validate(settings), TextData(TextConfig(path=str(path))))
    data.prepare(folder, FakeContext(folder))
    stream = iter(data.batches("train", BatchPlan(16, 0)))
    for _ in range(3):
        next(stream)
    tokens = sum(len(file.tokens) for file in data.files.values())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, tokens, len(data.files["train"])


def main(folder, megabytes):
    small, _, _ = prepare(folder, 6)
    large, tokens, documents = prepare(folder, megabytes)
    print(json.dumps({"small": small, "large": large, "tokens": tokens, "documents": documents}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
