"""Evaluator `phf/last-word`: zero-shot prediction of the last word of a text (LAMBADA)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from omnitrain.api import Context, Evaluation, Run, Sample, mean_metric, numpy_generator
from omnitrain.engine import evaluating
from omnitrain.errors import DataError
from omnitrain_phf.configs.evaluators import LastWordConfig
from omnitrain_phf.models.writing import Writes, condition_text, context_length, encode_behind, read_prompts, writer
from omnitrain_phf.scorers.contacts import plain_sentences


def split_last_word(text: str) -> tuple[str, str] | None:
    """Return (context, blank and last word) of a text, marks at its end left out; None for fewer than two words."""
    text = text.rstrip().rstrip(".!?\"'")
    place = text.rfind(" ")
    context = text[:place].rstrip()
    return (context, text[place:]) if place > 0 and context and text[place:].strip() else None


class LastWord:
    """Share of texts whose last word is what the model would write greedily."""

    def __init__(self, config: LastWordConfig) -> None:
        self.config = config

    def check_data(self, data: Any, run: Run, /) -> None:
        """See `omnitrain.api.ChecksData`: its file is read."""
        self._pairs(run)

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Return the accuracy and the NLL of the word.

        Raises UsageError for a model that is no causal language model, DataError without texts of two words.
        """
        config, model = self.config, writer(predictor, "phf/last-word")
        pairs = self._pairs(run)[: config.samples]
        prefix = condition_text(model, config.condition, config)
        right, nll = [], []
        with run.progress("predict last words", len(pairs)) as progress, evaluating(model.model):
            for first in range(0, len(pairs), config.batch_size):
                batch = pairs[first : first + config.batch_size]
                found = predict_words(model, [(prefix + context, word) for context, word in batch])
                right += [float(hit) for hit, _ in found]
                nll += [loss for _, loss in found]
                progress.advance(len(batch))
        shown = [Sample({"context": c, "word": w, "right": str(bool(r))}) for (c, w), r in zip(pairs[:5], right, strict=False)]
        metrics = {"accuracy": mean_metric(right, "higher"), "nll": mean_metric(nll, "lower", "nats/word")}
        return Evaluation(metrics, samples={"words": shown})

    def _pairs(self, run: Run) -> list[tuple[str, str]]:
        """Return (context, last word) of all texts, in an order that is drawn."""
        path = self.config.path
        texts = list(plain_sentences()) if path == "builtin" else read_prompts(path)
        order = numpy_generator(run.seed("last words")).permutation(len(texts))
        pairs = [pair for i in order if (pair := split_last_word(texts[i])) is not None]
        if not pairs:
            raise DataError(f"{path}: has no text of two words or more")
        return pairs


def predict_words(model: Writes, pairs: Sequence[tuple[str, str]]) -> list[tuple[bool, float]]:
    """Return for each (context, word) whether all of its tokens are the most probable ones, and their summed NLL."""
    device = next(model.model.parameters()).device
    encoded = [encode_behind(model, *pair) for pair in pairs]
    contexts, words = [context for context, _ in encoded], [word for _, word in encoded]
    limit = context_length(model)
    if limit is not None:
        # Longer texts lose their beginning.
        contexts = [context[-(limit - len(word)) :] for context, word in zip(contexts, words, strict=True)]
    width = max(len(c) + len(w) for c, w in zip(contexts, words, strict=True))
    pad = model.eos_ids[0]
    rows = [c + w + [pad] * (width - len(c) - len(w)) for c, w in zip(contexts, words, strict=True)]
    ids = torch.tensor(rows, device=device)
    mask = torch.tensor([[int(i < len(c) + len(w)) for i in range(width)] for c, w in zip(contexts, words, strict=True)])
    logits = model.model(input_ids=ids, attention_mask=mask.to(device), use_cache=False).logits.float()
    found = []
    for row, (context, word) in enumerate(zip(contexts, words, strict=True)):
        span = slice(len(context) - 1, len(context) + len(word) - 1)
        target = ids[row, len(context) : len(context) + len(word)]
        hit = bool((logits[row, span].argmax(dim=-1) == target).all())
        found.append((hit, float(functional.cross_entropy(logits[row, span], target, reduction="sum"))))
    return found


def build(config: LastWordConfig, context: Context) -> LastWord:
    """Make the evaluator `phf/last-word`."""
    return LastWord(config)
