"""Show what a model will see: pieces of text, coloured by role in a terminal, with marks elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from omnitrain.cli.output import say
from omnitrain.streams import encodable
from omnitrain.terminal import one_line

if TYPE_CHECKING:
    from rich.text import Text

    from omnitrain.api import Piece

STYLES = {"plain": "", "loss": "bold green", "mask": "black on yellow", "special": "cyan", "padding": "dim"}
PLAIN_MARKS = {"plain": ("", ""), "loss": ("<<", ">>"), "mask": ("[[", "]]"), "special": ("", ""), "padding": ("", "")}
MARKS = {
    "plain": ("", ""),
    "loss": ("\u00ab", "\u00bb"),
    "mask": ("\u27e6", "\u27e7"),
    "special": ("", ""),
    "padding": ("", ""),
}

Row = Mapping[str, Sequence["Piece"]]


def show_examples(stage: str, rows: Sequence[Row]) -> None:
    """Print rows of named pieces to standard output, with a line that explains the colours or marks."""
    if sys.stdout.isatty():
        _coloured(stage, rows)
        return
    marks = _marks()
    say(f"{stage}: what the model will see ({'loss'.join(marks['loss'])}, {'masked'.join(marks['mask'])})")
    for i, row in enumerate(rows, 1):
        for name, pieces in row.items():
            say(f"  {i} {name}: {marked(pieces)}")


def marked(pieces: Sequence[Piece]) -> str:
    """Return pieces as text with marks around masked ones and those with a loss; neighbours of a role share them."""
    marks = _marks()
    parts: list[str] = []
    previous = "plain"
    for piece in pieces:
        if piece.role != previous:
            parts += [marks[previous][1], marks[piece.role][0]]
        parts.append(_one_line(piece.text))
        previous = piece.role
    return "".join([*parts, marks[previous][1]])


def _coloured(stage: str, rows: Sequence[Row]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    roles = [(role, style) for role, style in STYLES.items() if style]
    legend = Text.assemble(f"{stage}: what the model will see  ", *(part for entry in roles for part in (entry, "  ")))
    console.print(legend)
    for i, row in enumerate(rows, 1):
        for name, pieces in row.items():
            console.print(_line(f"  {i} {name}: ", pieces))


def _line(head: str, pieces: Sequence[Piece]) -> Text:
    from rich.text import Text

    return Text.assemble((head, "bold"), *((_one_line(piece.text), STYLES[piece.role]) for piece in pieces))


def _marks() -> Mapping[str, tuple[str, str]]:
    """Return the marks that standard output can hold."""
    return MARKS if encodable("".join(mark for pair in MARKS.values() for mark in pair)) else PLAIN_MARKS


def _one_line(text: str) -> str:
    return one_line(text.replace("\n", "\u21b5" if encodable("\u21b5") else "\\n"))
