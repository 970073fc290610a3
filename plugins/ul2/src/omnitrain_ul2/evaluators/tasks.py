"""Evaluator `ul2/tasks`: text-to-text tasks answered under a chosen mode, scored with the metrics of the T5 pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from omnitrain.api import Batch, Context, Evaluation, Metric, Run, Sample, Table, numpy_generator
from omnitrain.engine import check_split
from omnitrain.errors import DataError, UsageError
from omnitrain_language.data.pairs import PairsData, collate_decoder_only, collate_encoder_decoder, input_ids
from omnitrain_language.encoding import Encoder, start_ids
from omnitrain_language.sampling import GenerationSettings
from omnitrain_language.tokenizers import pad_id
from omnitrain_ul2.configs.data import ModesConfig
from omnitrain_ul2.configs.evaluators import GridConfig, TaskConfig, TasksConfig
from omnitrain_ul2.data.modes import mode_texts
from omnitrain_ul2.evaluators import t5_metrics as metrics

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Pair = tuple[str, str]
Answers = dict[str, list[str]]


@runtime_checkable
class AnswersIds(Protocol):
    """A predictor that scores and starts from token ids; the predictors of omnitrain-language do."""

    tokenizer: PreTrainedTokenizerFast
    config: Any

    def continue_ids(self, prompts: Sequence[Sequence[int]], settings: GenerationSettings) -> list[list[int]]:
        """Return the new ids of a batch of prompts, the end of sequence left out."""

    def score(self, batch: Batch) -> Tensor:
        """Return log-probabilities of the labels, float32[batch, length]."""


@dataclass(frozen=True)
class Question:
    """What a model is asked, and the right answer."""

    prompt: str
    answer: str


def _spread(items: Sequence[Pair], count: int) -> list[Pair]:
    chosen = np.unique(np.linspace(0, len(items) - 1, min(count, len(items))).astype(np.int64))
    return [items[i] for i in chosen.tolist()]


def _filled(template: str, pair: Pair) -> str:
    parts = {"{inputs}": pair[0], "{targets}": pair[1]}
    before, _, rest = template.partition("{inputs}")
    between, _, behind = rest.partition("{targets}")
    return before + parts["{inputs}"] + between + parts["{targets}"] + behind


def questions(config: TaskConfig, data: PairsData, seed: int) -> list[Question]:
    """Return the questions of a task, with an example of the train split before each where it is one-shot."""
    pairs = {
        split: [(r["inputs"], r["targets"]) for r in data.records(split)]
        for split in {config.split, *(["train"] if config.shots else [])}
    }
    asked = _spread(pairs[config.split], config.rows)
    if not config.shots:
        return [Question(*pair) for pair in asked]
    drawn = numpy_generator(seed).integers(len(pairs["train"]), size=len(asked))
    start = config.shot.partition("{targets}")[0]
    return [
        Question(_filled(config.shot, pairs["train"][i]) + start.replace("{inputs}", inputs), targets)
        for i, (inputs, targets) in zip(drawn.tolist(), asked, strict=True)
    ]


class Examiner:
    """Asks one predictor the questions of a task under a mode."""

    def __init__(self, predictor: AnswersIds, modes: ModesConfig, batch_size: int) -> None:
        self._predictor, self._batch_size = predictor, batch_size
        self._tokenizer = predictor.tokenizer
        self._encode = Encoder(predictor.tokenizer)
        self._texts, self._style = mode_texts(modes), modes.style
        self._layout = "encoder-decoder" if predictor.config.is_encoder_decoder else "decoder-only"
        self._eos = int(predictor.tokenizer.eos_token_id)
        two_sided = self._layout == "encoder-decoder"
        self._front = start_ids(predictor.tokenizer) if two_sided else []
        self._start = predictor.config.decoder_start_token_id if two_sided else None

    def mode_ids(self, mode: str) -> np.ndarray:
        """Return the ids of a mode, none for "none".

        Raises UsageError for a special mode that the tokenizer does not know.
        """
        text = self._texts.get(mode)
        ids = [] if text is None else self._tokenizer(text, add_special_tokens=False).input_ids
        if text is not None and self._style == "special" and len(ids) != 1:
            raise UsageError(
                f"mode_texts.{mode}: {text!r} is {len(ids)} tokens of this model's tokenizer, not one special id; "
                "set mode_texts as in pre-training, or modes to [none]."
            )
        return np.asarray(ids, np.int64)

    def prompts(self, asked: Sequence[Question], mode: str, config: TaskConfig) -> list[np.ndarray]:
        """Return the inputs of each question as fine-tuning has them, without the eos in front of a decoder-only row."""
        prefix = self.mode_ids(mode)
        room = config.inputs_length - 1 - len(self._front) - len(prefix)
        if room < 1:
            raise UsageError(f"inputs_length {config.inputs_length} has no room beside mode {mode}; enlarge it.")
        rows = [np.asarray(ids, np.int64) for ids in self._encode([q.prompt for q in asked])]
        kept = [row[-room:] if config.shots else row[:room] for row in rows]
        front = np.asarray([*self._front, *prefix], np.int64)
        return [input_ids(row, front, config.inputs_length, self._layout, self._eos) for row in kept]

    def answers(self, asked: Sequence[Question], mode: str, config: TaskConfig) -> list[str]:
        """Return what the model writes, greedily; of a one-shot answer the first line."""
        front = [self._eos] if self._layout == "decoder-only" else []
        rows = [front + row.tolist() for row in self.prompts(asked, mode, config)]
        settings = GenerationSettings(config.max_new_tokens)
        written: list[list[int]] = []
        for first in range(0, len(rows), self._batch_size):
            written += self._predictor.continue_ids(rows[first : first + self._batch_size], settings)
        texts = [str(self._tokenizer.decode(ids, skip_special_tokens=True)).strip() for ids in written]
        return [text.split("\n")[0].strip() for text in texts] if config.shots else texts

    def log_likelihood(self, asked: Sequence[Question], mode: str, config: TaskConfig) -> float:
        """Return the mean log-probability of a token of the right answers, their eos not counted."""
        inputs = self.prompts(asked, mode, config)
        targets = [np.asarray([*self._front, *ids, self._eos]) for ids in self._encode([q.answer for q in asked])]
        total, count = 0.0, 0.0
        for first in range(0, len(asked), self._batch_size):
            chunk = slice(first, first + self._batch_size)
            pad = pad_id(self._tokenizer)
            if self._layout == "encoder-decoder":
                batch = collate_encoder_decoder(inputs[chunk], targets[chunk], pad, self._start)
            else:
                batch = collate_decoder_only(inputs[chunk], targets[chunk], self._eos, pad)
            batch["loss_weights"] *= batch["labels"] != self._eos
            total += float(self._predictor.score(batch).sum())
            count += float(batch["loss_weights"].sum())
        return total / count


def task_scores(names: Sequence[str], wanted: Sequence[str], given: Sequence[str]) -> dict[str, float]:
    """Return the named metrics of written answers; log-likelihood, which is none of them, is left out."""
    found: dict[str, float] = {}
    if "accuracy" in names:
        found |= metrics.accuracy(wanted, given)
    if "f1" in names:
        classes = {text: i for i, text in enumerate(sorted(set(wanted)))}
        labels = [classes[text] for text in wanted], [classes.get(text, -1) for text in given]
        found["f1"] = metrics.mean_multiclass_f1(*labels, len(classes))[f"mean_{len(classes)}class_f1"]
    if {"em", "token-f1"} & set(names):
        squad = metrics.squad([[text] for text in wanted], given)
        found |= {"em": squad["em"], "token-f1": squad["f1"]}
    if any(name.startswith("rouge") for name in names):
        found |= metrics.rouge(wanted, given)
    return {name: found[name] for name in names if name in found}


@dataclass(frozen=True)
class Cell:
    """One task under one mode: scores by metric, how many questions, and the first answers."""

    scores: Mapping[str, float]
    count: int
    asked: Sequence[Question]
    given: Sequence[str]


def check_task(name: str, task: TaskConfig, data: Any) -> PairsData:
    """Return the data of a task. Raises UsageError for data that are no pairs, DataError without a split that is asked for."""
    if not isinstance(data, PairsData):
        raise UsageError(f"tasks.{name}.data: expected language/pairs, or {{from: stage}} of a stage that was given them.")
    for split in (task.split, *(["train"] if task.shots else [])):
        try:
            check_split(data, split)
        except DataError as error:
            raise DataError(f"tasks.{name}: {error}") from error
    return data


def measure_task(examiner: Examiner, name: str, task: TaskConfig, config: GridConfig, data: Any, run: Run) -> dict[str, Cell]:
    """Measure one task under every mode: mode to its scores.

    Raises what `check_task` raises.
    """
    asked = questions(task, check_task(name, task, data), run.seed(f"examples of {name}"))
    wanted = [question.answer for question in asked]
    found: dict[str, Cell] = {}
    with run.progress(f"task {name}", len(config.modes)) as bar:
        for mode in config.modes:
            scores: dict[str, float] = {}
            given: list[str] = []
            if set(task.metrics) - {"log-likelihood"}:
                given = examiner.answers(asked, mode, task)
                scores = task_scores(task.metrics, wanted, given)
            if "log-likelihood" in task.metrics:
                scores["log-likelihood"] = examiner.log_likelihood(asked, mode, task)
            found[mode] = Cell({m: scores[m] for m in task.metrics}, len(asked), asked[:3], given[:3])
            bar.advance()
    return found


Grid = Mapping[str, Mapping[str, Cell]]


def grid_evaluation(grid: Grid) -> Evaluation:
    """Return tasks x modes: a metric "task/mode/name" each, a table with a column per mode, and some answers."""
    cells = [(task, mode, cell) for task, modes in grid.items() for mode, cell in modes.items()]
    values = {
        f"{task}/{mode}/{name}": Metric(value, cell.count, "higher", unit="nats/token" if name == "log-likelihood" else "%")
        for task, mode, cell in cells
        for name, value in cell.scores.items()
    }
    modes = list(next(iter(grid.values())))
    rows = [
        [task, name, *(columns[mode].scores[name] for mode in modes), columns[modes[0]].count]
        for task, columns in grid.items()
        for name in columns[modes[0]].scores
    ]
    samples = {
        task: [
            Sample({"mode": mode, "inputs": question.prompt, "written": text, "right answer": question.answer})
            for mode, cell in columns.items()
            for question, text in zip(cell.asked, cell.given, strict=False)
        ]
        for task, columns in grid.items()
    }
    table = Table(("task", "metric", *modes, "questions"), rows, "By mode token in front of the inputs.")
    return Evaluation(values, {"tasks x modes": table}, {task: found for task, found in samples.items() if found})


class Tasks:
    """A model on text-to-text tasks under every mode."""

    def __init__(self, config: TasksConfig) -> None:
        self.config = config

    def check_data(self, data: Any, run: Run, /) -> None:
        """See `omnitrain.api.ChecksData`: the tasks' own data are read."""
        for name, task in self.config.tasks.items():
            check_task(name, task, run.build(task.data))

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Answer the questions of every task.

        Raises UsageError when the predictor starts from no token ids, or a task's data are no pairs.
        """
        examiner = make_examiner("ul2/tasks", predictor, self.config)
        tasks = self.config.tasks.items()
        return grid_evaluation(
            {name: measure_task(examiner, name, task, self.config, run.build(task.data), run) for name, task in tasks}
        )


def make_examiner(name: str, predictor: Any, config: GridConfig) -> Examiner:
    """Return what asks a predictor. Raises UsageError when it takes no token ids."""
    if not isinstance(predictor, AnswersIds):
        raise UsageError(f"{name} needs a predictor that starts from token ids, as language/t5 and language/causal do.")
    return Examiner(predictor, config.mode_texts, config.batch_size)


def build(config: TasksConfig, context: Context) -> Tasks:
    """Make the evaluator `ul2/tasks`."""
    return Tasks(config)
