"""Stage `orca/explain`."""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from omnitrain.api import Evaluation, Metric, Run, Table, user_path
from omnitrain.api import Sample as Shown
from omnitrain.errors import DataError
from omnitrain_language.chat.asking import open_chat
from omnitrain_language.chat.messages import Completion, Request, ask_for
from omnitrain_language.chat.planning import plan_lines
from omnitrain_language.configs.chat import ChatConfig
from omnitrain_orca.configs.stages import ExplainConfig
from omnitrain_orca.flan.agreement import agrees
from omnitrain_orca.flan.sampled import FILE as QUERIES
from omnitrain_orca.flan.sampled import SampledQuery, read_sampled
from omnitrain_orca.paper.systems import mixed

FILE = "explanations.jsonl"
FIELDS = {"inputs_field": "question", "targets_field": "response", "system_field": "system_prompt"}
_SHOWN = 5


def subset(queries: Sequence[SampledQuery], count: int | None, seed: int) -> list[SampledQuery]:
    """Return a random part of queries in their order, inside every larger one. Raises DataError where there are fewer."""
    if count is None:
        return list(queries)
    if count > len(queries):
        raise DataError(f"count {count}: there are {len(queries)} sampled queries; lower it, or sample more")
    kept = heapq.nsmallest(count, range(len(queries)), key=lambda place: mixed(queries[place].digest, seed))
    return [queries[place] for place in sorted(kept)]


def request_of(query: SampledQuery) -> Request:
    """Return what a teacher is asked."""
    return ask_for(query.question, query.system)


class Explain:
    """Called as a stage: responses of one teacher; those that it has given are kept and never asked for twice."""

    def __call__(self, config: ExplainConfig, run: Run) -> None:
        """Leave the artifact "explanations": data `language/instructions` with OpenOrca's columns, in the queries' order.

        What is cut, filtered or empty is counted and left out. Raises what the teacher raises; then all that was paid for is
        kept, and the same command goes on behind it. Raises DataError where no response is left.
        """
        queries = subset(_sampled(config, run), config.count, config.subset_seed)
        rows, lost = list[dict[str, Any]](), Counter[str]()
        for query, row in zip(queries, self._rows(queries, config.teacher, run), strict=True):
            if isinstance(row, str):
                lost[row] += 1
            elif not row["response"].strip():
                lost["empty"] += 1
            elif config.agreeing and not agrees(row["response"], query.target):
                lost["another answer than the label"] += 1
            else:
                rows.append(row)
        if not rows:
            told = ", ".join(f"{count} x {reason}" for reason, count in lost.items())
            raise DataError(f"{run.name}: of {len(queries)} queries none has a response that is kept ({told}).")
        with run.artifact("explanations", "data", folder=True, use="language/instructions", config=FIELDS) as folder:
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (folder / FILE).write_text(text, encoding="utf-8", newline="\n")
        run.report("explanations", _evaluation(queries, rows, lost))

    def plan(self, config: ExplainConfig, run: Run) -> Sequence[str]:
        """Tell tokens, cost and time where the queries are there already."""
        if config.teacher is None:
            return ["the responses are FLAN's targets; nobody is asked"]
        if config.path is None:
            count = "all sampled" if config.count is None else f"{config.count:,} of the sampled"
            return [f"{count} queries are asked; with path, of a run that sampled them, this tells tokens and cost"]
        queries = subset(_sampled(config, run), config.count, config.subset_seed)
        return plan_lines(config.teacher, [request_of(query) for query in queries], run)

    def _rows(self, queries: Sequence[SampledQuery], teacher: ChatConfig | None, run: Run) -> list[dict[str, Any] | str]:
        """Return the row of each query, or why there is none."""
        if teacher is None:
            told = {"teacher": "target", "finish_reason": "stop"}
            return [
                {**_asked(query), "system_id": 1, "system_prompt": "", "response": query.target, **told} for query in queries
            ]
        chat = open_chat(teacher, run)
        with run.progress("explain", len(queries)) as bar:
            answers = chat.ask([request_of(query) for query in queries], bar)
        run.say(chat.summary())
        decoding = {"temperature": teacher.temperature, "max_tokens": teacher.max_tokens, **teacher.extra}
        name = str(chat.backend.identity.get("kind"))
        return [
            answer.finish
            if answer.text is None
            else {
                **_asked(query),
                "response": answer.text,
                **_provenance(answer.completion, teacher, name),
                "decoding": decoding,
            }
            for query, answer in zip(queries, answers, strict=True)
        ]


def _sampled(config: ExplainConfig, run: Run) -> list[SampledQuery]:
    if config.queries is not None:
        return list(read_sampled(run.input(config.queries).path / QUERIES))
    return list(read_sampled(user_path(str(config.path))))


def _asked(query: SampledQuery) -> dict[str, Any]:
    return {
        "id": query.id,
        "collection": query.collection,
        "task": query.task,
        "system_id": query.system_id,
        "system_prompt": query.system,
        "question": query.question,
        "target": query.target,
    }


def _provenance(completion: Completion, teacher: ChatConfig, kind: str) -> dict[str, Any]:
    """Return where a response is from."""
    return {
        "teacher": completion.model or teacher.name or teacher.rule or kind,
        "finish_reason": completion.finish,
        "usage": {"prompt_tokens": completion.prompt_tokens, "completion_tokens": completion.completion_tokens},
    }


def _evaluation(queries: Sequence[SampledQuery], rows: Sequence[Mapping[str, Any]], lost: Counter[str]) -> Evaluation:
    """Return how many responses there are, how long, and what was left out why."""
    characters = sum(len(row["response"]) for row in rows) / len(rows)
    metrics = {
        "responses": Metric(float(len(rows)), len(queries), "higher"),
        "characters": Metric(characters, len(rows)),
        **{f"left out/{reason}": Metric(float(count), len(queries), "lower") for reason, count in lost.items()},
    }
    by_system = Counter(row["system_id"] for row in rows)
    table = Table(("system message", "responses"), [[number, by_system[number]] for number in sorted(by_system)])
    shown = [
        Shown({"system": row["system_prompt"], "query": row["question"], "response": row["response"]}) for row in rows[:_SHOWN]
    ]
    return Evaluation(metrics, tables={"by system message": table}, samples={"responses": shown})


explain = Explain()
