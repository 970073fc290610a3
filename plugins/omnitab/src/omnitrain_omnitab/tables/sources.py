"""Questions out of data sets: WikiTableQuestions, WikiSQL, and JSON lines of our own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from omnitrain.api import text_lines
from omnitrain.errors import DataError
from omnitrain_omnitab.paper.denotations import unescape, unescape_list
from omnitrain_omnitab.paper.wikisql import execute
from omnitrain_omnitab.tables.reading import made_table, read_table
from omnitrain_omnitab.tables.table import Question, Table

WTQ = {"train": "random-split-1-train", "valid": "random-split-1-dev", "test": "pristine-unseen-tables"}
WIKISQL = {"train": "train", "valid": "dev", "test": "test"}
SPLITS = ("train", "valid", "test")
_OPERATIONS = ("lookup", "superlative", "superlative", "count", "sum", "average")


def kind_of(path: Path) -> str:
    """Return "wtq", "wikisql" or "lines" for what a path holds. Raises DataError for anything else."""
    if path.is_file() and path.suffix in (".jsonl", ".ndjson"):
        return "lines"
    if any((path / "data" / f"{name}.tsv").is_file() for name in WTQ.values()):
        return "wtq"
    if any((path / f"{name}.tables.jsonl").is_file() for name in WIKISQL.values()):
        return "wikisql"
    raise DataError(
        f"{path} holds no questions about tables; expected the folder of WikiTableQuestions (data/random-split-1-train.tsv), "
        "that of WikiSQL (train.jsonl, train.tables.jsonl), or a .jsonl file of {context, table, answers}"
    )


def splits_of(path: Path) -> list[str]:
    """Return the splits that a data set has files for; of a file of lines its only one, train."""
    kind = kind_of(path)
    if kind == "lines":
        return ["train"]
    names = WTQ if kind == "wtq" else WIKISQL
    where: Callable[[str], Path] = (
        (lambda name: path / "data" / f"{name}.tsv") if kind == "wtq" else (lambda name: path / f"{name}.jsonl")
    )
    return [split for split in SPLITS if where(names[split]).is_file()]


def files_of(path: Path) -> list[Path]:
    """Return the files whose content questions are made of, in order; tables of WTQ are named by them."""
    if path.is_file():
        return [path]
    return sorted(p for p in path.rglob("*") if p.is_file() and p.suffix in (".tsv", ".csv", ".jsonl", ".tagged"))


def read_questions(path: Path, split: str) -> Iterator[Question]:
    """Yield the questions of a split, in the order of its file. Raises DataError with file and line."""
    kind = kind_of(path)
    if kind == "lines":
        yield from read_lines(path)
    elif kind == "wtq":
        yield from _wtq(path, WTQ[split])
    else:
        yield from _wikisql(path, WIKISQL[split])


def _wtq(path: Path, name: str) -> Iterator[Question]:
    tables: dict[str, Table] = {}
    canon = _tagged(path / "tagged" / "data" / f"{name}.tagged")
    for place, record in _columns(path / "data" / f"{name}.tsv", ("id", "utterance", "context", "targetValue")):
        context = record["context"]
        if context not in tables:
            # The loaders that published models were trained with read the .tsv beside the .csv.
            beside = (path / context).with_suffix(".tsv")
            found = beside if beside.is_file() else path / context
            if not found.is_file():
                raise DataError(f"{place}: there is no table {path / context}")
            tables[context] = read_table(found, escaped=True, name=context)
        answers = tuple(unescape_list(record["targetValue"]))
        forms = canon.get(record["id"])
        if forms is not None and len(forms) != len(answers):
            raise DataError(f"{place}: {len(answers)} answers, but {len(forms)} canonical forms in the tagged file")
        yield Question(record["id"], unescape(record["utterance"]), tables[context], answers, forms)


def _tagged(path: Path) -> dict[str, tuple[str | None, ...]]:
    """Return the canonical answers by question, nothing where the data set has no tagged file."""
    if not path.is_file():
        return {}
    return {record["id"]: tuple(unescape_list(record["targetCanon"])) for _, record in _columns(path, ("id", "targetCanon"))}


def _columns(path: Path, needed: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    names: list[str] = []
    for number, line in text_lines(path):
        cells = line.split("\t")
        if not names:
            names = cells
            missing = [name for name in needed if name not in names]
            if missing:
                raise DataError(f"{path}:1: there is no column {missing[0]!r}; expected {', '.join(needed)}")
        elif len(cells) != len(names):
            raise DataError(f"{path}:{number}: {len(cells)} columns, the first line names {len(names)}")
        else:
            yield f"{path}:{number}", dict(zip(names, cells, strict=True))


def _json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in text_lines(path):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}:{number}: the line is no JSON: {error}") from error
        if not isinstance(record, dict):
            raise DataError(f"{path}:{number}: the line is {type(record).__name__}; expected an object")
        yield f"{path}:{number}", record


def _wikisql(path: Path, name: str) -> Iterator[Question]:
    tables: dict[str, tuple[Table, list[str]]] = {}
    for place, record in _json_lines(path / f"{name}.tables.jsonl"):
        tables[str(record.get("id"))] = (made_table(record.get("header"), record.get("rows"), place), record.get("types", []))
    for number, (place, record) in enumerate(_json_lines(path / f"{name}.jsonl")):
        key = str(record.get("table_id"))
        if key not in tables:
            raise DataError(f"{place}: table_id {key!r} is not in {name}.tables.jsonl")
        table, types = tables[key]
        sql = record["sql"] if _is_query(record.get("sql"), len(table.header)) and len(types) == len(table.header) else None
        if sql is None:
            raise DataError(f"{place}: sql is no query of WikiSQL on a table of {len(table.header)} typed columns")
        try:
            answers = tuple(execute(types, table.rows, sql))
        except ValueError as error:
            raise DataError(f"{place}: the query can't be executed: {error}") from error
        yield Question(f"{name}-{number}", str(record.get("question", "")), table, answers, operation=_OPERATIONS[sql["agg"]])


def _is_query(sql: Any, columns: int) -> bool:
    if not isinstance(sql, Mapping) or sql.get("sel") not in range(columns) or sql.get("agg") not in range(len(_OPERATIONS)):
        return False
    conditions = sql.get("conds")
    return isinstance(conditions, list) and all(
        isinstance(c, list) and len(c) == 3 and c[0] in range(columns) and c[1] in range(3) for c in conditions
    )


def read_lines(path: Path) -> Iterator[Question]:
    """Yield what JSON lines of {context, table: {header, rows}, answers, mentions} hold; id and operation may be there too."""
    if not path.is_file():
        raise DataError(f"{path} is not there; expected a .jsonl file of {{context, table, answers, mentions}}")
    for number, (place, record) in enumerate(_json_lines(path)):
        text, table = record.get("context"), record.get("table")
        if not isinstance(text, str) or not isinstance(table, Mapping):
            raise DataError(f"{place}: the record has no text `context` or no `table`")
        answers, mentions = record.get("answers") or [], record.get("mentions") or []
        if not isinstance(answers, list) or not all(isinstance(a, (str, int, float)) for a in answers):
            raise DataError(f"{place}: answers is no list of texts")
        if not isinstance(mentions, list) or not all(_is_span(m, len(text)) for m in mentions):
            raise DataError(f"{place}: mentions is no list of [start, end] within the {len(text)} characters of context")
        yield Question(
            str(record.get("id", number)),
            text,
            made_table(table.get("header"), table.get("rows"), place),
            tuple(str(a) for a in answers),
            mentions=tuple((int(a), int(b)) for a, b in mentions) if "mentions" in record else None,
            operation=str(record.get("operation", "")),
        )


def _is_span(span: Any, length: int) -> bool:
    whole = isinstance(span, list) and len(span) == 2 and all(isinstance(i, int) for i in span)
    return whole and 0 <= span[0] <= span[1] <= length


def read_ids(path: Path) -> dict[str, int]:
    """Return the ids of a list, one a line, with their lines. Raises DataError for an empty list."""
    found = {line.strip(): number for number, line in text_lines(path) if line.strip()}
    if not found:
        raise DataError(f"{path}: the list names no question; expected an id a line")
    return found
