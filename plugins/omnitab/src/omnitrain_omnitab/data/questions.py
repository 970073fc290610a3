"""Data `omnitab/questions`: questions about tables with their answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from omnitrain.api import Context, Data, numpy_generator
from omnitrain.errors import DataError
from omnitrain_omnitab.configs.data import QuestionsConfig
from omnitrain_omnitab.data.rows import BUILTIN, TableRows, index_draw, made_tables, tell_cut, tokenizer_text
from omnitrain_omnitab.paper.cutting import cut_cells, drop_rows
from omnitrain_omnitab.paper.denoising import Draws, Example
from omnitrain_omnitab.paper.linearise import Cell, joined, tapex_text
from omnitrain_omnitab.tables.sources import SPLITS, files_of, kind_of, read_ids, read_lines, read_questions, splits_of
from omnitrain_omnitab.tables.table import Question
from omnitrain_omnitab.tables.templates import questions


class QuestionsData(TableRows):
    """Questions about tables; see `QuestionsConfig`."""

    config: QuestionsConfig

    def __init__(self, config: QuestionsConfig, text: Data | None) -> None:
        super().__init__(config, text)
        self.leading_blank = config.leading_blank
        self._items: dict[str, list[Question]] = {}

    def splits(self) -> Sequence[str]:
        """Name the splits."""
        config = self.config
        if config.path == BUILTIN:
            return ["train", "valid"] if config.valid_fraction else ["train"]
        found = splits_of(Path(config.path))
        if kind_of(Path(config.path)) == "lines":
            named = {"valid": config.valid_path, "test": config.test_path}
            cut = config.valid_fraction > 0 and config.valid_path is None
            found += [split for split in SPLITS[1:] if named[split] is not None or (split == "valid" and cut)]
        return found

    def items(self, split: str) -> list[Question]:
        """Return the questions of a split, always in the same order. Raises DataError."""
        self.check_split(split)
        if split not in self._items:
            self._items[split] = self._chosen(split, list(self._read(split)))
        return self._items[split]

    def texts(self) -> Iterator[Question]:
        """Yield the questions of the split `train`."""
        yield from self.items("train")

    def size(self, split: str) -> int:
        """Return the number of questions of a split."""
        return len(self.items(split))

    def _read(self, split: str) -> Iterator[Question]:
        config = self.config
        if config.path == BUILTIN:
            yield from (question for question in self._made if self.split_of_table(question.table) == split)
            return
        path = Path(config.path)
        own = {"valid": config.valid_path, "test": config.test_path}.get(split)
        if own is not None:
            yield from read_lines(Path(own))
        elif kind_of(path) != "lines":
            yield from read_questions(path, split)
        else:
            cut = config.valid_path is None and config.valid_fraction > 0
            yield from (q for q in read_lines(path) if not cut or self.split_of_table(q.table) == split)

    @cached_property
    def _made(self) -> list[Question]:
        config = self.config.embedded
        draw = index_draw()
        return [q for table in made_tables(config) for q in questions(table, config.texts, draw)]

    def _chosen(self, split: str, items: list[Question]) -> list[Question]:
        config = self.config
        if config.ids is not None and split == "train":
            wanted = read_ids(Path(config.ids))
            known = {question.id for question in items}
            absent = next((key for key in wanted if key not in known), None)
            if absent is not None:
                raise DataError(f"{config.ids}:{wanted[absent]}: no question of the split 'train' has the id {absent!r}")
            items = [question for question in items if question.id in wanted]
        if not items:
            raise DataError(f"{config.path}: split {split!r} got no question; it needs more tables or another valid_fraction")
        unanswered = next((question for question in items if not question.answers), None)
        if unanswered is not None:
            raise DataError(f"{config.path}: question {unanswered.id!r} of split {split!r} has no answer")
        return items

    def _source_files(self) -> Sequence[Path]:
        config = self.config
        named = [config.path, config.valid_path, config.test_path, config.ids]
        return [file for path in named if path not in (None, BUILTIN) for file in files_of(Path(str(path)))]

    def _ready(self, context: Context) -> None:
        for split in self.splits():
            items = self.items(split)
            lengths = [len(row) for row in self._whole_rows(items, context, split)]
            too_long = sum(length > self.config.inputs_length for length in lengths)
            tell_cut(context, split, tables_too_long=too_long, of=len(items) if too_long else 0)

    def _whole_rows(self, items: Sequence[Question], context: Context, split: str) -> Iterator[list[int]]:
        tokens = self.tokens
        with context.progress(f"count tokens {split}", len(items)) as progress:
            for question in items:
                rows, _ = cut_cells(question.table.rows, (), tokens, self.config.cell_tokens)
                yield tokens.whole(tokens.ids(self._text(question, rows)))
                progress.advance()

    @staticmethod
    def _text(question: Question, rows: Sequence[Sequence[Cell]]) -> str:
        # TAPEX writes text and whole numbers only; of anything else the text is taken, as OmniTab does.
        written = [[cell if isinstance(cell, (str, int)) else str(cell) for cell in row] for row in rows]
        header = [name if isinstance(name, (str, int)) else str(name) for name in question.table.header]
        return joined(question.text, tapex_text(header, written))

    def _row(self, question: Question, draws: Draws, edit_answers: bool) -> tuple[list[int], list[str]]:
        """Return (ids of question and table, answers as they are trained on)."""
        config, tokens = self.config, self.tokens
        rows, answers = cut_cells(question.table.rows, question.answers, tokens, config.cell_tokens)
        kept = list(question.answers) if not edit_answers else answers
        if config.too_long == "drop-rows":
            known = answers if edit_answers else []
            left = drop_rows(question.text, question.table.header, rows, known, config.inputs_length, tokens, draws.uniform)
            rows = [list(row) for row in left] or rows[:1]
        return tokens.whole(tokens.ids(self._text(question, rows)), config.inputs_length), kept

    def _positions(self) -> int:
        return max(self.config.inputs_length, self.config.targets_length)

    def draw(self, split: str, index: int, draws: Draws) -> tuple[int, Example]:
        """Return a question as an example. Answers are cut with their cells in training only."""
        question = self.items(split)[index]
        inputs, answers = self._row(question, draws, edit_answers=split == "train")
        target = self.tokens.whole(self.tokens.ids(", ".join(answers)), self.config.targets_length)
        return 0, Example(inputs, target, [True] * len(target))

    def prompt(self, question: Question, seed: int) -> list[int]:
        """Return the ids that a model is asked with; answers play no part in what is dropped."""
        generator = numpy_generator(seed)
        draws = Draws(lambda n, k: [], lambda: float(generator.random()), lambda: 0)
        return self._row(question, draws, edit_answers=False)[0]


def build(config: QuestionsConfig, context: Context) -> QuestionsData:
    """Make the data `omnitab/questions`."""
    return QuestionsData(config, tokenizer_text(config, context))
