"""Data `omnitab/pretraining`: sentences about tables to denoise, questions and queries to answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from omnitrain.api import Context, Data
from omnitrain.errors import DataError
from omnitrain_omnitab.configs.data import PretrainingConfig
from omnitrain_omnitab.data.rows import BUILTIN, TableRows, index_draw, made_tables, tell_cut, tokenizer_text
from omnitrain_omnitab.paper.denoising import (
    Draws,
    Example,
    Fitted,
    TableTooWide,
    answering,
    fit,
    random_masking,
    salient_masking,
    with_blank,
)
from omnitrain_omnitab.paper.linearise import Cell, joined, linearise
from omnitrain_omnitab.paper.masking import clean_spans
from omnitrain_omnitab.paper.mentions import find_mentions
from omnitrain_omnitab.tables.queries import queries
from omnitrain_omnitab.tables.sources import files_of, read_lines
from omnitrain_omnitab.tables.table import Question
from omnitrain_omnitab.tables.templates import questions, sentences

SOURCES = ("natural", "synthetic", "sql")
TASKS = ("random", "salient", "synthetic", "sql")
Item = tuple[int, Question]
"""The number of a task and its text."""


class PretrainingData(TableRows):
    """The paper's mix; see `PretrainingConfig`."""

    config: PretrainingConfig
    tasks = TASKS

    def __init__(self, config: PretrainingConfig, text: Data | None) -> None:
        super().__init__(config, text)
        self._texts: dict[str, list[Question]] | None = None
        self._items: dict[str, list[Item]] = {}

    def splits(self) -> Sequence[str]:
        """Name the splits."""
        return ["train", "valid"] if self.config.valid_fraction else ["train"]

    def texts(self) -> Iterator[Question]:
        """Yield the texts of the split `train`, those of each source behind each other."""
        for found in self._sources().values():
            yield from (text for text in found if self.split_of_table(text.table) == "train")

    def _sources(self) -> dict[str, list[Question]]:
        if self._texts is None:
            paths = {name: getattr(self.config, name) for name in SOURCES}
            self._texts = {name: self._read(name, path) for name, path in paths.items() if path is not None}
            for name, found in self._texts.items():
                if not found:
                    raise DataError(f"{name}: {paths[name]} holds no text about a table")
                bare = next((text for text in found if name != "natural" and not text.answers), None)
                if bare is not None:
                    raise DataError(f"{name}: {bare.table.name} has no answer, which every question needs")
        return self._texts

    def _read(self, name: str, path: str) -> list[Question]:
        if path != BUILTIN:
            found = list(read_lines(Path(path)))
            return [_with_mentions(text) for text in found] if name == "natural" else found
        made = self.config.embedded
        make = {"natural": sentences, "synthetic": questions, "sql": queries}[name]
        draw = index_draw()
        return [text for table in made_tables(made) for text in make(table, made.texts, draw)]

    def _source_files(self) -> Sequence[Path]:
        named = [getattr(self.config, name) for name in SOURCES]
        return [file for path in named if path not in (None, BUILTIN) for file in files_of(Path(str(path)))]

    def size(self, split: str) -> int:
        """Return the number of examples of a split."""
        self.check_split(split)
        return len(self._items[split])

    def _ready(self, context: Context) -> None:
        counts = {split: Counter[str]() for split in self.splits()}
        self._items = {split: [] for split in self.splits()}
        shown = {
            name: _shuffled(found) if name == "natural" and self._shuffles else found for name, found in self._sources().items()
        }
        with context.progress("fit tables", sum(map(len, shown.values()))) as progress:
            for name, found in shown.items():
                for text, own in zip(found, self._sources()[name], strict=True):
                    split = self.split_of_table(own.table)
                    self._items[split] += self._tasks_of(name, text, counts[split])
                    progress.advance()
        for split, counted in counts.items():
            tell_cut(context, split, **counted)
            if not self._items[split]:
                raise DataError(f"split {split!r} got no example; it needs more tables or another valid_fraction")

    @property
    def _shuffles(self) -> bool:
        return self.config.table == "shuffled"

    def _tasks_of(self, source: str, text: Question, counts: Counter[str]) -> Iterator[Item]:
        """Yield the examples of a text, and count what of it does not fit."""
        fitted = self._fit(text)
        counts["rows_left_out"] += fitted.dropped_rows
        counts["texts_cut"] += fitted.dropped_characters > 0
        if not fitted.rows:
            # A table without rows has nothing to say about the text.
            counts["tables_whose_first_row_does_not_fit"] += 1
            return
        if source != "natural":
            yield TASKS.index(source), text
            return
        for task in self.config.masking:
            if task == "salient" and not any(end <= len(fitted.context) for _, end in self._mentions(text)):
                counts["sentences_without_mention"] += 1
            else:
                yield TASKS.index(task), text

    def _fit(self, text: Question) -> Fitted:
        config, lower = self.config, self.config.lower_case
        cells = [[_cased(cell, lower) for cell in row] for row in (text.table.header, *text.table.rows)]
        try:
            return self._within(
                fit(
                    with_blank(str(_cased(text.text, lower))),
                    cells[0],
                    cells[1:],
                    [str(_cased(answer, lower)) for answer in text.answers],
                    self.tokens,
                    length=config.inputs_length,
                    context_length=config.context_length,
                    cell_length=config.cell_tokens,
                )
            )
        except TableTooWide as error:
            raise DataError(
                f"{text.table.name}: {error} beside {text.text[:40]!r}; leave the table out, or raise inputs_length"
            ) from error

    def _within(self, fitted: Fitted) -> Fitted:
        """Leave out further rows where the parts of a table have more tokens side by side than each alone."""
        rows, most = fitted.rows, self.config.inputs_length
        while rows:
            text = joined(fitted.context, linearise(fitted.header, rows).text)
            if len(self.tokens.whole(self.tokens.encoded(text).ids)) <= most:
                break
            rows = rows[:-1]
        return replace(fitted, rows=rows, dropped_rows=fitted.dropped_rows + len(fitted.rows) - len(rows))

    @staticmethod
    def _mentions(text: Question) -> list[tuple[int, int]]:
        shift = len(with_blank(text.text)) - len(text.text)
        return [(start + shift, end + shift) for start, end in text.mentions or ()]

    def draw(self, split: str, index: int, draws: Draws) -> tuple[int, Example]:
        """Return (number of the task, example)."""
        task, text = self._items[split][index]
        fitted, tokens, config = self._fit(text), self.tokens, self.config
        if TASKS[task] == "random":
            shares = {"table_share": config.table_share, "context_share": config.context_share, "most": config.most_masked}
            return task, random_masking(fitted, tokens, draws, **shares)  # type: ignore[arg-type]
        if TASKS[task] == "salient":
            return task, salient_masking(fitted, self._mentions(text), tokens)
        return task, answering(fitted, tokens, config.inputs_length)


def _cased(cell: Cell, lower: bool) -> Cell:
    # A few letters change their length with their case, which would move what stands behind them.
    changed = cell.lower() if lower and isinstance(cell, str) else cell
    return changed if isinstance(changed, str) and isinstance(cell, str) and len(changed) == len(cell) else cell


def _with_mentions(text: Question) -> Question:
    """Return a sentence with what it mentions of the names and cells of its table, where nobody has looked for that yet."""
    # Places are those of the sentence in lower case, which a few letters make longer.
    if text.mentions is not None or len(text.text.lower()) != len(text.text):
        return text
    found = find_mentions(text.text, [text.table.header, *text.table.rows])
    return replace(text, mentions=tuple(clean_spans(found.spans)))


def _shuffled(texts: Sequence[Question]) -> list[Question]:
    """Return sentences, each with the table of the next one that is about another."""
    found = []
    for number, text in enumerate(texts):
        others = (texts[(number + step) % len(texts)].table for step in range(1, len(texts)))
        other = next((table for table in others if table != text.table), None)
        if other is None:
            raise DataError("table: shuffled needs sentences about at least two tables")
        found.append(replace(text, table=other))
    return found


def build(config: PretrainingConfig, context: Context) -> PretrainingData:
    """Make the data `omnitab/pretraining`."""
    return PretrainingData(config, tokenizer_text(config, context))
