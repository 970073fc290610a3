"""What is done with tables that are too long: cells lose their end, rows are left out (appendix; TAPEX section 3.2).

Tokens are counted without special ones throughout, as the official code does, also where a text ends in a blank.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from omnitrain_omnitab.paper.linearise import Cell, header_text, row_text

CELL_TOKENS = 15
"""Longest cell in tokens."""
_PADDED_NUMBER = 100  # the number under which rows are counted before it is known which are left
_NEIGHBOURS = 2

Row = Sequence[Cell]


class Tokens(Protocol):
    """A tokenizer, as far as cutting needs it."""

    def count(self, text: str) -> int:
        """Return the number of tokens of a text, special ones not counted."""

    def beginning(self, text: str, most: int) -> str | None:
        """Return the text of the first `most` tokens of a text of at least so many, None for a shorter one."""


def cut_cell(cell: Cell, tokens: Tokens, most: int = CELL_TOKENS) -> Cell:
    """Return a cell whose text has at least `most` tokens as the text of its first ones; numbers and blanks stay.

    It is tokenised with a blank in front, which is taken away again.
    """
    if not isinstance(cell, str) or not cell.strip():
        return cell
    added = "" if cell[0].isspace() else " "
    found = tokens.beginning(added + cell, most)
    return cell if found is None else found.removeprefix(added)


def cut_cells(
    rows: Sequence[Row], answers: Sequence[str], tokens: Tokens, most: int = CELL_TOKENS
) -> tuple[list[list[Cell]], list[str]]:
    """Return (rows with cut cells, answers); an answer that is a cell becomes what the cell became.

    Pass no answers in evaluation: gold answers stay as they are.
    """
    became = {cell: cut_cell(cell, tokens, most) for row in rows for cell in row if isinstance(cell, str)}
    cut = [[became[cell] if isinstance(cell, str) else cell for cell in row] for row in rows]
    return cut, [str(became.get(answer, answer)) for answer in answers]


def fitting_rows(rows: Sequence[Row], room: int, tokens: Tokens) -> int:
    """Return how many rows from the first on fit into `room` tokens, each tokenised alone with its number."""
    for number, row in enumerate(rows, 1):
        room -= tokens.count(row_text(row, number))
        if room < 0:
            return number - 1
    return len(rows)


def share_to_drop(question: str, header: Row, rows: Sequence[Row], length: int, tokens: Tokens) -> tuple[float, int]:
    """Return (share of the rows that is too much, tokens that are left for rows beside question and header)."""
    room = length - tokens.count(question) - tokens.count(header_text(header))
    total = tokens.count("".join(row_text(row, _PADDED_NUMBER) + " " for row in rows))
    return (0.0 if total < room else 1.0 - room / total), room


def unrelated_rows(question: str, rows: Sequence[Row], answers: Sequence[str]) -> list[int]:
    """Return the numbers of rows that share no cell with question or answers, nor stand within two rows of one that does.

    Cells are compared in lower case, answers too; the question's words are taken as they are.
    """
    words = {answer.lower() for answer in answers} | set(question.split()) | set(question.strip("?!.,").split(" "))
    related = [number for number, row in enumerate(rows) if words & {str(cell).lower() for cell in row}]
    near = {number + step for number in related for step in range(-_NEIGHBOURS, _NEIGHBOURS + 1)}
    return [number for number in range(len(rows)) if number not in near]


def drop_rows(
    question: str,
    header: Row,
    rows: Sequence[Row],
    answers: Sequence[str],
    length: int,
    tokens: Tokens,
    uniform: Callable[[], float],
) -> list[Row]:
    """Return the rows that are left: unrelated ones are dropped by draws with replacement, then the last that don't fit.

    length: of the whole input in tokens. uniform: draws in [0, 1).
    """
    share, room = share_to_drop(question, header, rows, length, tokens)
    unrelated = unrelated_rows(question, rows, answers)
    draws = min(len(unrelated), int(len(rows) * share))
    dropped = {unrelated[int(uniform() * len(unrelated))] for _ in range(draws)}
    kept = [row for number, row in enumerate(rows) if number not in dropped]
    return kept[: fitting_rows(kept, room, tokens)]
