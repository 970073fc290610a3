"""TruthfulQA's multiple choice: its file, and the log-probabilities of options."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from omnitrain.api import reading
from omnitrain.errors import DataError, UsageError
from omnitrain_language.predictor import LanguagePredictor
from omnitrain_language.tokenizers import pad_id
from omnitrain_language.writing import by_length
from omnitrain_orca.configs.evaluators import TruthfulqaConfig
from omnitrain_orca.exams.asking import asked, template_for
from omnitrain_orca.exams.places import exam_path
from omnitrain_orca.paper.bbh import prompt


@dataclass(frozen=True)
class Options:
    """Options of one question and whether each is true."""

    texts: Sequence[str]
    labels: Sequence[int]


@dataclass(frozen=True)
class Choice:
    """A question with the options of its two scores."""

    question: str
    mc1: Options
    mc2: Options


def read_truthfulqa(path: str) -> list[Choice]:
    """Return the questions of mc_task.json. Raises DataError for a file that is none, and for a question without options."""
    file = exam_path(path, "mc_task.json")
    with reading(file, "the JSON list of TruthfulQA's mc_task.json"):
        content: Any = json.loads(file.read_text("utf-8"))
    if not isinstance(content, list) or not content:
        raise DataError(f"{file}: expected the JSON list of TruthfulQA's mc_task.json, found {type(content).__name__}")
    return [_choice(f"{file}: question {number}", record) for number, record in enumerate(content)]


def _choice(place: str, record: Any) -> Choice:
    if not isinstance(record, dict) or not isinstance(record.get("question"), str):
        raise DataError(f"{place} has no text 'question'; correct it, or remove it")
    return Choice(record["question"], *(_options(place, record.get(name), name) for name in ("mc1_targets", "mc2_targets")))


def _options(place: str, targets: Any, name: str) -> Options:
    sound = isinstance(targets, dict) and all(label in (0, 1) for label in targets.values())
    if not sound or not {0, 1} <= set(targets.values()) or not all(text.strip() for text in targets):
        raise DataError(f"{place}: {name} holds no true and false options, as {{text: 1 or 0}}; correct it, or remove it")
    return Options(list(targets), list(targets.values()))


def option_log_probs(predictor: Any, choices: Sequence[tuple[str, str]], config: TruthfulqaConfig) -> list[float]:
    """Return the summed log-probability of each (question, option) in nats, options of like length together.

    Raises UsageError for a model that gives no log-probabilities of tokens.
    """
    if not isinstance(predictor, LanguagePredictor) or predictor.config.is_encoder_decoder:
        raise UsageError("orca/truthfulqa needs log-probabilities of a decoder-only model, such as language/causal; name one")
    tokenizer = predictor.tokenizer
    # Behind a plain prompt an option begins with a blank; a chat template ends where a response begins.
    before = "" if template_for(config, tokenizer) == "chat" else " "
    asks = {question: None for question, _ in choices}
    given = asked([prompt(question) for question in asks], config, tokenizer)
    heads = dict(zip(asks, (predictor.encode_prompts(given, 1)), strict=True))
    rows = []
    for question, option in choices:
        ids = tokenizer(before + option, add_special_tokens=False).input_ids
        rows.append((heads[question], [int(i) for i in ids]))
    found = [0.0] * len(rows)
    for places in by_length([len(head) + len(tail) for head, tail in rows], config.batch_size):
        log_probs = predictor.score(_batch([rows[place] for place in places], pad_id(tokenizer)))
        for place, total in zip(places, log_probs.double().sum(dim=1).tolist(), strict=True):
            found[place] = total
    return found


def _batch(rows: Sequence[tuple[list[int], list[int]]], pad: int) -> dict[str, Any]:
    """Return rows padded on the right, with weights on the options' tokens."""
    width = max(len(head) + len(tail) for head, tail in rows) - 1
    ids, labels = torch.full((len(rows), width), pad), torch.full((len(rows), width), pad)
    weights, mask = torch.zeros(len(rows), width), torch.zeros(len(rows), width, dtype=torch.bool)
    for row, (head, tail) in enumerate(rows):
        whole = torch.tensor(head + tail)
        count = len(whole) - 1
        ids[row, :count], labels[row, :count], mask[row, :count] = whole[:-1], whole[1:], True
        weights[row, len(head) - 1 : count] = 1.0
    return {"input_ids": ids, "labels": labels, "loss_weights": weights, "attention_mask": mask}
