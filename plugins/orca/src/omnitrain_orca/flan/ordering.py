"""Lines written in an order that is known beforehand, with a bounded part of them in memory."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

TOGETHER = 50_000


def write_ranked(lines: Iterable[tuple[int, str]], count: int, out: Path, scratch: Path, together: int = TOGETHER) -> None:
    """Write lines, each given with its place from 0 to count - 1 once, to a file in the order of places.

    scratch: a folder that is made for parts of `together` lines and removed again.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    parts = [scratch / str(number) for number in range(-(-count // together))]
    with ExitStack() as opened:
        files = [opened.enter_context(part.open("w", encoding="utf-8", newline="\n")) for part in parts]
        for place, line in lines:
            files[place // together].write(f"{place}\t{line}\n")
    with out.open("w", encoding="utf-8", newline="\n") as whole:
        for part in parts:
            with part.open(encoding="utf-8", newline="\n") as file:
                found = sorted((int(place), line) for place, _, line in (row.partition("\t") for row in file))
            whole.writelines(line for _, line in found)
    shutil.rmtree(scratch)
