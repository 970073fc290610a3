"""Sit an exam: ask, read the answers by every parser, and score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from omnitrain.api import Evaluation, Metric, Sample, Table, share_metric
from omnitrain_orca.configs.evaluators import WritesConfig
from omnitrain_orca.exams.asking import responses
from omnitrain_orca.exams.questions import Parser, Question, first_of_each

Z = 1.959963984540054  # of a normal interval at 95 %


def average(shares: Sequence[Metric]) -> Metric:
    """Return the unweighted mean of the tasks' accuracies, with the normal interval at 95 % of a stratified mean."""
    value = math.fsum(share.value for share in shares) / len(shares)
    variance = math.fsum(share.value * (1 - share.value) / share.n for share in shares) / len(shares) ** 2
    half = Z * math.sqrt(variance)
    return Metric(value, sum(share.n for share in shares), "higher", (max(0.0, value - half), min(1.0, value + half)))


def scored(questions: Sequence[Question], written: Sequence[str], parsers: Sequence[Parser], samples: int) -> Evaluation:
    """Return accuracy by task, the unweighted average, and the share of responses without an answer, for each parser."""
    metrics, rows = dict[str, Metric](), list[list[Any]]()
    tasks = list(dict.fromkeys(question.task for question in questions))
    for parser in parsers:
        found = [parser.find(question, text) for question, text in zip(questions, written, strict=True)]
        shares = []
        for task in tasks:
            own = [(a, q) for a, q in zip(found, questions, strict=True) if q.task == task]
            right = sum(answer is not None and parser.is_right(answer, question.target) for answer, question in own)
            share, unread = share_metric(right, len(own)), sum(answer is None for answer, _ in own)
            metrics[f"{parser.name}/{task}"] = share
            shares.append(share)
            rows.append([parser.name, task, share.value, *(share.interval or ("", "")), len(own), unread])
        metrics[f"{parser.name}/average"] = average(shares)
        metrics[f"{parser.name}/unparsable"] = share_metric(sum(a is None for a in found), len(found), "lower")
    columns = ("parser", "task", "accuracy", "low", "high", "questions", "unparsable")
    shown = [
        Sample({"task": q.task, "question": q.prompt, "response": text, "target": q.target})
        for q, text in list(zip(questions, written, strict=True))[:samples]
    ]
    caption = "The average is unweighted over tasks. Intervals: 95 %."
    return Evaluation(metrics, tables={"tasks": Table(columns, rows, caption)}, samples={"responses": shown})


def sit(
    predictor: Any, questions: Sequence[Question], parsers: Sequence[Parser], config: WritesConfig, name: str
) -> Evaluation:
    """Ask the first questions of each task and score the responses; raises as `responses` does."""
    taken = first_of_each(questions, config.questions)
    return scored(taken, responses(predictor, [q.prompt for q in taken], config, name), parsers, config.samples)
