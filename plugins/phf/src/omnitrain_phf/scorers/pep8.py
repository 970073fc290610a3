"""PEP 8 violations of source text, by pycodestyle with explicit options."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pycodestyle  # type: ignore[import-untyped,import-not-found,unused-ignore]

from omnitrain_phf.configs.scorers import PycodestyleConfig
from omnitrain_phf.scorers.base import installed
from omnitrain_phf.scorers.segments import split_lines


class _LineReport(pycodestyle.BaseReport):  # type: ignore[misc]
    """Counts every report by line, also repeated ones."""

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self.by_line: Counter[int] = Counter()

    def error(self, line_number: int, offset: int, text: str, check: Any) -> Any:
        """Take one report."""
        code = super().error(line_number, offset, text, check)
        if code:
            self.by_line[line_number] += 1
        return code


@contextmanager
def _no_user_config() -> Iterator[None]:
    """Keep pycodestyle from reading the config in the user's home, which it does even as a library."""
    before = pycodestyle.USER_CONFIG
    pycodestyle.USER_CONFIG = None
    try:
        yield
    finally:
        pycodestyle.USER_CONFIG = before


class Pep8Scorer:
    """Document: number of violations / characters. Line: violations reported on it / its characters."""

    def __init__(self, config: PycodestyleConfig) -> None:
        self._config = config
        with _no_user_config():
            guide = pycodestyle.StyleGuide(
                select=config.select,
                ignore=config.ignore,
                max_line_length=config.max_line_length,
                max_doc_length=None,
                indent_size=4,
                hang_closing=False,
                quiet=2,
                verbose=0,
                reporter=_LineReport,
            )
        self._options = guide.options

    def violations(self, lines: Sequence[str]) -> Counter[int]:
        """Return the number of violations by line, counted from 1; those behind the last line have higher numbers."""
        report = _LineReport(self._options)
        pycodestyle.Checker(lines=list(lines), options=self._options, report=report).check_all()
        return report.by_line

    def score(self, texts: Sequence[str]) -> list[float]:
        """Return violations per character of each text."""
        return [sum(self.violations(split_lines(text)).values()) / len(text) if text else 0.0 for text in texts]

    def score_segments(self, segments: Sequence[str]) -> list[float]:
        """Return violations per character of each line of one file; a segment is a line with its newline."""
        found = self.violations(segments)
        last = len(segments)
        if any(line > last for line in found):
            if self._config.past_end == "zero":
                return [0.0] * last
            found[last] += sum(count for line, count in found.items() if line > last)
        return [found[number] / len(line) if line else 0.0 for number, line in enumerate(segments, 1)]

    @staticmethod
    def versions(config: PycodestyleConfig) -> dict[str, str]:
        """Return that of pycodestyle."""
        return installed("pycodestyle")

    @staticmethod
    def notes(config: PycodestyleConfig) -> list[str]:
        """Return nothing."""
        return []
