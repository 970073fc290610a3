"""Evaluator `eft/shift-maps`: which tokens up-scaling changes, as coloured text and as a table (section 4.2)."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch

from omnitrain.api import Context, Evaluation, Metric, Piece, Run, Table, Text, ratio_metric
from omnitrain_eft.configs.evaluators import ShiftMapsConfig
from omnitrain_eft.data.dialogues import DialoguesData
from omnitrain_eft.data.prompted import PARTS
from omnitrain_eft.evaluators.teacher_forcing import (
    PartSums,
    batches_of,
    check_dialogues,
    composition_of,
    dialogues_of,
    member_logits,
)
from omnitrain_eft.paper.composition import total_variation
from omnitrain_language.detokenising import token_texts


class Shifts:
    """Total variation by position over held-out replies."""

    def __init__(self, config: ShiftMapsConfig) -> None:
        self.config = config

    def check_data(self, data: Any, run: Run, /) -> None:
        """See `omnitrain.api.ChecksData`: other data, and a split that is not there, are refused."""
        check_dialogues(data, "eft/shift-maps", self.config.split)

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Measure, and show the first replies as text that is coloured by shift.

        Raises UsageError for other models or data.
        """
        config = self.config
        model, dialogues = composition_of(predictor, "eft/shift-maps"), dialogues_of(data, "eft/shift-maps")
        sums = PartSums()
        by_token: dict[int, list[float]] = defaultdict(list)
        maps: list[list[Piece]] = []
        for batch in batches_of(dialogues, config.split, config.measured_rows, config.batch_size):
            logits = member_logits(model, batch)
            composed, small = (z.log_softmax(-1) for z in (logits.composed(model.dials), logits.small_composed(model.dials)))
            shift = total_variation(composed, small).cpu()
            sums.count(batch["part_ids"])
            sums.add("shift", "tv", shift, batch["part_ids"])
            for row in range(len(shift)):
                place = torch.nonzero(batch["loss_weights"][row]).flatten()
                labels, values = batch["labels"][row, place].tolist(), shift[row, place].tolist()
                for token, value in zip(labels, values, strict=True):
                    by_token[token].append(value)
                if len(maps) < config.rows:
                    maps.append(_map(dialogues, batch["input_ids"][row, : int(place[0]) + 1].tolist(), labels, values))
        return self._evaluation(sums, by_token, maps, dialogues)

    def _evaluation(
        self,
        sums: PartSums,
        by_token: dict[int, list[float]],
        maps: list[list[Piece]],
        dialogues: DialoguesData,
    ) -> Evaluation:
        metrics = {}
        for part in sums.parts():
            total, counts = sums.of("shift", "tv", part)
            metrics[f"{part} total variation"] = ratio_metric(total, counts, n=int(counts.sum()))
        everything = [v for values in by_token.values() for v in values]
        mean = sum(everything) / len(everything)
        metrics["expected acceptance"] = Metric(1 - mean, len(everything), "higher")
        ranked = sorted(by_token.items(), key=lambda item: (-sum(item[1]) / len(item[1]), item[0]))[: self.config.tokens]
        rows = [[dialogues.tokenizer.decode([t]), sum(v) / len(v), len(v)] for t, v in ranked]
        table = Table(("token", "mean total variation", "positions"), rows, f"Tokens at the most changed positions; {PARTS}.")
        scale = "total variation between the composition and the fine-tuned small model, 0 to 1"
        shown = Text(maps, scale, {"special": "prompt"}, "Which tokens of held-out replies up-scaling changes.")
        return Evaluation(metrics, {"tokens": table}, figures={"shift maps": shown})


def _map(dialogues: DialoguesData, prompt: list[int], labels: list[int], values: list[float]) -> list[Piece]:
    """Return a dialogue in pieces: its prompt, and each token of the reply with its shift."""
    tokenizer = dialogues.tokenizer
    texts = token_texts(tokenizer, labels, prompt)
    tokens = [Piece(text, strength=value) for text, value in zip(texts, values, strict=True)]
    return [Piece(str(tokenizer.decode(prompt, skip_special_tokens=True)), "special"), *tokens]


def build(config: ShiftMapsConfig, context: Context) -> Shifts:
    """Make the evaluator `eft/shift-maps`."""
    return Shifts(config)
