"""Evaluator `omnitab/answers`: how many questions about tables a model answers right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from omnitrain.api import Context, Evaluation, Generates, Metric, Run, Sample, Table, share_metric
from omnitrain.engine import check_split
from omnitrain.errors import UsageError
from omnitrain_omnitab.configs.evaluators import AnswersConfig
from omnitrain_omnitab.paper.denotations import correct, string_accuracy
from omnitrain_omnitab.paper.linearise import linearise
from omnitrain_omnitab.paper.wikisql import exact_match
from omnitrain_omnitab.tables.table import Question

_SIZES = (10, 20, 50)
"""Rows of a table up to which it is in one group."""
_SHOWN = 600


@runtime_checkable
class AsksAboutTables(Protocol):
    """Data whose questions can be asked."""

    def items(self, split: str) -> Sequence[Question]:
        """Return the questions of a split."""

    def prompt(self, question: Question, seed: int) -> list[int]:
        """Return the ids that a model is asked with."""


@dataclass(frozen=True)
class Answered:
    """A question, what was written, and whether that is right by the official rules, by TAPEX's and by WikiSQL's."""

    question: Question
    written: str
    right: bool
    strings: bool
    exact: bool

    @property
    def size(self) -> str:
        """The group of the table by its rows."""
        rows = len(self.question.table.rows)
        below = next((limit for limit in _SIZES if rows <= limit), None)
        return f"more than {_SIZES[-1]} rows" if below is None else f"up to {below} rows"


def judge(question: Question, written: str) -> Answered:
    """Return a question with what was written to it, judged."""
    answers = question.answers
    return Answered(
        question,
        written,
        correct(written, answers, question.canon),
        string_accuracy(written, ", ".join(answers)) == 1.0,
        exact_match(written, answers) == 1.0,
    )


class AnswersEvaluator:
    """Writes answers and judges them; see `AnswersConfig`."""

    def __init__(self, config: AnswersConfig) -> None:
        self.config = config

    def check_data(self, data: Any, run: Run, /) -> None:
        """See `omnitrain.api.ChecksData`: other data, and a split that is not there, are refused."""
        if not isinstance(data, AsksAboutTables):
            raise UsageError("omnitab/answers asks questions about tables: give the stage the data omnitab/questions")
        check_split(data, self.config.split)

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Ask and judge. Raises UsageError for a model that writes no text."""
        self.check_data(data, run)
        if not isinstance(predictor, Generates):
            raise UsageError("omnitab/answers needs a model that can write text (ability `generate_text`)")
        config = self.config
        questions = list(data.items(config.split))
        if config.rows is not None and config.rows < len(questions):
            questions = [questions[i * len(questions) // config.rows] for i in range(config.rows)]
        seed = run.seed("answers")
        prompts = [data.prompt(question, seed + number) for number, question in enumerate(questions)]
        written = predictor.generate_text(
            prompts, max_new_tokens=config.max_new_tokens, seed=seed, batch_size=config.batch_size, **config.asked()
        )
        return report([judge(q, text.strip()) for q, text in zip(questions, written, strict=True)], config.wrong)


def report(found: Sequence[Answered], wrong: int) -> Evaluation:
    """Return accuracies, by operation and by table size too, and some wrong answers with their tables."""
    metrics: dict[str, Metric] = {
        "denotation": _share([a.right for a in found]),
        "string accuracy": _share([a.strings for a in found]),
        "exact match": _share([a.exact for a in found]),
    }
    rows: list[list[Any]] = []
    groups = {"operation": [a.question.operation for a in found], "table": [a.size for a in found]}
    for what, names in groups.items():
        for name in sorted({*names} - {""}):
            right = [a.right for a, own in zip(found, names, strict=True) if own == name]
            metric = metrics[f"denotation/{name}"] = _share(right)
            rows.append([what, name, metric.value, *(metric.interval or ("", "")), metric.n])
    table = Table(("by", "which", "denotation", "low", "high", "questions"), rows, "Intervals: 95 %.")
    samples = [
        Sample(
            {
                "question": a.question.text,
                "table": linearise(a.question.table.header, a.question.table.rows).text[:_SHOWN],
                "written": a.written,
                "right": ", ".join(a.question.answers),
            }
        )
        for a in [a for a in found if not a.right][:wrong]
    ]
    return Evaluation(metrics, {"answers": table}, {"wrong": samples} if samples else {})


def _share(flags: Sequence[bool]) -> Metric:
    return share_metric(sum(flags), len(flags))


def build(config: AnswersConfig, context: Context) -> AnswersEvaluator:
    """Make the evaluator `omnitab/answers`."""
    return AnswersEvaluator(config)
