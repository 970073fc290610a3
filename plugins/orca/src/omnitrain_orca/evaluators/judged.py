"""Evaluator `orca/judged`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from omnitrain.api import Context, Evaluation, Metric, Run, Sample, ratio_metric, share_metric
from omnitrain.errors import DataError
from omnitrain_language.chat.asking import Chat, open_chat
from omnitrain_language.chat.messages import Request
from omnitrain_language.folders import find_files
from omnitrain_language.records import RECORDS, Problems, read_fields
from omnitrain_orca.configs.evaluators import JudgedConfig
from omnitrain_orca.exams.asking import responses
from omnitrain_orca.exams.places import exam_path
from omnitrain_orca.paper.judging import asked, judged_scores

QUESTION, REFERENCE = "question", "reference"
Scores = tuple[float, float]


def read_references(path: str) -> list[tuple[str, str]]:
    """Return (question, reference answer) of every record. Raises DataError for malformed ones and where there is none."""
    problems, found = Problems(refuse=True), list[tuple[str, str]]()
    for file in find_files(str(exam_path(path, "questions.jsonl")), RECORDS):
        found += [(record[QUESTION], record[REFERENCE]) for _, record in read_fields(file, [QUESTION, REFERENCE], problems)]
    if not found:
        raise DataError(f"{path}: there is no question in it; expected records with the fields {QUESTION!r} and {REFERENCE!r}")
    return found


def graded(chat: Chat, triples: Sequence[tuple[str, str, str]], again: int) -> list[Scores | None]:
    """Return the scores of (question, first answer, second answer); what can't be read is asked so many times again."""
    found: list[Scores | None] = [None] * len(triples)
    for sample in range(1 + again):
        open_places = [place for place, scores in enumerate(found) if scores is None]
        if not open_places:
            break
        answers = chat.ask([Request(asked(*triples[place]), sample) for place in open_places])
        for place, answer in zip(open_places, answers, strict=True):
            found[place] = None if answer.text is None else judged_scores(answer.text)
    return found


class Judged:
    """A judge's scores of the model's responses against reference answers, asked in both orders."""

    def __init__(self, config: JudgedConfig) -> None:
        self.config = config

    def check_data(self, data: Any, run: Run, /) -> None:
        """See `omnitrain.api.ChecksData`: the file is read."""
        read_references(self.config.path)

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Return 100 x the sum of the candidate's scores / the sum of the reference's, over questions read in both orders.

        Raises UsageError for a model that can't write, DataError where no answer of the judge can be read, and what the
        judge raises.
        """
        config = self.config
        pairs = read_references(config.path)[: config.questions]
        written = responses(predictor, [question for question, _ in pairs], config, "orca/judged")
        chat = open_chat(config.judge, run)
        given = list(zip(pairs, written, strict=True))
        straight = graded(chat, [(q, reference, text) for (q, reference), text in given], config.again)
        swapped = graded(chat, [(q, text, reference) for (q, reference), text in given], config.again)
        both = [(a, (b[1], b[0])) for a, b in zip(straight, swapped, strict=True) if a is not None and b is not None]
        if not both:
            raise DataError(f"{run.name}: none of the judge's {2 * len(given)} answers holds two scores; ask another judge")
        shown = [Sample({"question": q, "response": text, "reference": r}) for (q, r), text in given[: config.samples]]
        unread = share_metric(len(given) - len(both), len(given), "lower")
        return Evaluation({**_metrics(both), "unparsable": unread}, samples={"responses": shown})


def _metrics(both: Sequence[tuple[Scores, Scores]]) -> dict[str, Metric]:
    """Return the score and, to show a bias by place, that of each order. both: (reference, candidate) in either order."""
    ways = {
        "score": [(a[0] + b[0], a[1] + b[1]) for a, b in both],
        "candidate second": [a for a, _ in both],
        "candidate first": [b for _, b in both],
    }
    return {
        name: ratio_metric([100 * candidate for _, candidate in pairs], [reference for reference, _ in pairs], "higher", "%")
        for name, pairs in ways.items()
    }


def build(config: JudgedConfig, context: Context) -> Judged:
    """Make the evaluator `orca/judged`."""
    return Judged(config)
