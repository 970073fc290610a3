"""Evaluator `eft/shift-maps`: which tokens up-scaling changes, as coloured text and as a table (section 4.2)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import torch

from omnitrain.api import Context, Evaluation, Metric, Picture, Run, Table
from omnitrain_eft.configs.evaluators import ShiftMapsConfig
from omnitrain_eft.data.dialogues import DialoguesData
from omnitrain_eft.data.prompted import PARTS
from omnitrain_eft.evaluators.teacher_forcing import (
    PartSums,
    batches_of,
    composition_of,
    dialogues_of,
    mean_with_interval,
    member_logits,
)
from omnitrain_eft.paper.composition import total_variation

_WIDTH, _LINE, _SIZE = 940, 24, 13


@dataclass(frozen=True)
class ShiftedToken:
    """A token of a reply and the total variation at its position, 0 to 1."""

    text: str
    shift: float


def colour(shift: float) -> str:
    """Return a colour between white (0) and deep orange (1)."""
    low, high = (255, 255, 255), (230, 97, 1)
    mixed = [round(a + (b - a) * min(max(shift, 0.0), 1.0)) for a, b in zip(low, high, strict=True)]
    return "#" + "".join(f"{part:02x}" for part in mixed)


def html_map(rows: Sequence[tuple[str, Sequence[ShiftedToken]]]) -> str:
    """Return a page with one paragraph per dialogue; each token's background shows its shift."""
    paragraphs = []
    for prompt, tokens in rows:
        spans = "".join(
            f'<span style="background:{colour(t.shift)}" title="{t.shift:.3f}">{escape(t.text)}</span>' for t in tokens
        )
        paragraphs.append(f"<p><b>{escape(prompt)}</b>{spans}</p>")
    head = "<!doctype html><meta charset='utf-8'><title>Shift maps</title>"
    style = "<style>body{font:15px/1.7 sans-serif;max-width:60em;margin:2em auto;white-space:pre-wrap}</style>"
    note = "<p>Colour: total variation between the composition and the fine-tuned small model, white 0 to orange 1.</p>"
    return f"{head}{style}{note}{''.join(paragraphs)}"


def svg_map(rows: Sequence[tuple[str, Sequence[ShiftedToken]]]) -> str:
    """Return the same as a picture for the run's report."""
    parts: list[str] = []
    y = 0
    for prompt, tokens in rows:
        y, x = y + _LINE, 6.0
        words = [(prompt, None), *((t.text, t.shift) for t in tokens)]
        for text, shift in words:
            shown = text.replace("\n", " ")
            width = 7.9 * len(shown)
            if x + width > _WIDTH and x > 6:
                x, y = 24.0, y + _LINE
            if shift is not None:
                parts.append(f'<rect x="{x:.1f}" y="{y - 16}" width="{width:.1f}" height="20" fill="{colour(shift)}"/>')
            weight = "bold" if shift is None else "normal"
            parts.append(
                f'<text x="{x:.1f}" y="{y}" font-weight="{weight}" textLength="{width:.1f}" xml:space="preserve">'
                f"{escape(shown)}</text>"
            )
            x += width
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y + 12}" font-family="monospace"'
    return f'{head} font-size="{_SIZE}"><rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>'


class Shifts:
    """Total variation by position over held-out replies."""

    def __init__(self, config: ShiftMapsConfig) -> None:
        self.config = config

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Measure, and leave the coloured page as the artifact "shift-maps".

        Raises UsageError for other models or data.
        """
        config = self.config
        model, dialogues = composition_of(predictor, "eft/shift-maps"), dialogues_of(data, "eft/shift-maps")
        sums = PartSums()
        by_token: dict[int, list[float]] = defaultdict(list)
        maps: list[tuple[str, list[ShiftedToken]]] = []
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
        page = html_map(maps)
        with run.artifact("shift-maps.html", "page") as path:
            path.write_text(page, encoding="utf-8")
        return self._evaluation(sums, by_token, maps, dialogues)

    def _evaluation(
        self,
        sums: PartSums,
        by_token: dict[int, list[float]],
        maps: list[tuple[str, list[ShiftedToken]]],
        dialogues: DialoguesData,
    ) -> Evaluation:
        metrics = {}
        for part in sums.parts():
            total, counts = sums.of("shift", "tv", part)
            value, interval = mean_with_interval(total, counts)
            metrics[f"{part} total variation"] = Metric(value, int(counts.sum()), "none", interval)
        everything = [v for values in by_token.values() for v in values]
        mean = sum(everything) / len(everything)
        metrics["expected acceptance"] = Metric(1 - mean, len(everything), "higher")
        ranked = sorted(by_token.items(), key=lambda item: (-sum(item[1]) / len(item[1]), item[0]))[: self.config.tokens]
        rows = [[dialogues.tokenizer.decode([t]), sum(v) / len(v), len(v)] for t, v in ranked]
        table = Table(("token", "mean total variation", "positions"), rows, f"Tokens at the most changed positions; {PARTS}.")
        caption = "Total variation between the composition and the fine-tuned small model, white 0 to orange 1."
        return Evaluation(metrics, {"tokens": table}, figures={"shift maps": Picture(svg_map(maps), caption=caption)})


def _map(dialogues: DialoguesData, prompt: list[int], labels: list[int], values: list[float]) -> tuple[str, list[ShiftedToken]]:
    tokenizer = dialogues.tokenizer
    tokens = [ShiftedToken(tokenizer.decode([token]), value) for token, value in zip(labels, values, strict=True)]
    return str(tokenizer.decode(prompt, skip_special_tokens=True)), tokens


def build(config: ShiftMapsConfig, context: Context) -> Shifts:
    """Make the evaluator `eft/shift-maps`."""
    return Shifts(config)
