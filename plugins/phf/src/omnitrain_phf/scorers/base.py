"""What a scorer is: something that says how bad a piece of text is, 0 or more."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from typing import Any, Protocol, runtime_checkable

from omnitrain.errors import EnvironmentFault


class Scorer(Protocol):
    """Scores texts; high is bad."""

    def score(self, texts: Sequence[str]) -> list[float]:
        """Return one score a text, 0 for an empty one."""


@runtime_checkable
class ScoresSegments(Protocol):
    """A scorer to which it matters what stands around a segment."""

    def score_segments(self, segments: Sequence[str]) -> list[float]:
        """Return the score of each segment of one document."""


class ScorerClass(Protocol):
    """A class of scorers. Its module is light: heavy libraries are imported when a scorer is made."""

    def __call__(self, config: Any, /) -> Scorer:
        """Make a scorer from its settings."""

    def versions(self, config: Any, /) -> dict[str, str]:
        """Return the versions of all that decides about the scores, without importing any of it.

        Raises EnvironmentFault where something is not installed.
        """

    def notes(self, config: Any, /) -> list[str]:
        """Return what a reader of the scores must know."""


def segment_scores(scorer: Scorer, documents: Sequence[Sequence[str]]) -> list[list[float]]:
    """Return the scores of the segments of some documents; those that stand for themselves are scored all together."""
    if isinstance(scorer, ScoresSegments):
        return [scorer.score_segments(texts) for texts in documents]
    flat = iter(scorer.score([text for texts in documents for text in texts]))
    return [list(islice(flat, len(texts))) for texts in documents]


def installed(*distributions: str) -> dict[str, str]:
    """Return the versions of distributions.

    Raises EnvironmentFault naming one that is not installed.
    """
    found = {}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError as error:
            raise EnvironmentFault(f"This scorer needs {name}: pip install {name}") from error
    return found
