"""Toxicity: Detoxify as in the paper, and smaller offline stand-ins that are named as such."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from omnitrain.api import text_lines, user_path
from omnitrain.errors import DataError, EnvironmentFault
from omnitrain_phf.configs.scorers import DetoxifyConfig, ProfanityConfig, WordListConfig
from omnitrain_phf.scorers.base import installed

STAND_IN = "a stand-in for Detoxify, not the paper's classifier: scores and thresholds are not comparable with the paper's"


class ProfanityScorer:
    """The probability of profanity under the linear model that alt-profanity-check ships."""

    def __init__(self, config: ProfanityConfig) -> None:
        from profanity_check import predict_prob  # type: ignore[import-untyped,import-not-found,unused-ignore]

        self._predict = predict_prob

    def score(self, texts: Sequence[str]) -> list[float]:
        """Return the probability for each text; that of an empty one is the model's prior."""
        return [float(chance) for chance in self._predict(list(texts))] if texts else []

    @staticmethod
    def versions(config: ProfanityConfig) -> dict[str, str]:
        """Return those of the model's library and of scikit-learn."""
        return installed("alt-profanity-check", "scikit-learn")

    @staticmethod
    def notes(config: ProfanityConfig) -> list[str]:
        """Return that it stands in for the paper's."""
        return [STAND_IN]


class DetoxifyScorer:
    """The probability of toxicity under Detoxify."""

    def __init__(self, config: DetoxifyConfig) -> None:
        try:
            from detoxify import Detoxify  # type: ignore[import-untyped,import-not-found,unused-ignore]
        except ImportError as error:
            raise EnvironmentFault("scorer detoxify needs its library: pip install 'omnitrain-phf[detoxify]'") from error
        self._size = config.batch_size
        self._model: Any = Detoxify(config.variant, device=config.device)

    def score(self, texts: Sequence[str]) -> list[float]:
        """Return the probability for each text."""
        found: list[float] = []
        for start in range(0, len(texts), self._size):
            found += map(float, self._model.predict(list(texts[start : start + self._size]))["toxicity"])
        return found

    @staticmethod
    def versions(config: DetoxifyConfig) -> dict[str, str]:
        """Return that of Detoxify; which of its models stands among the options."""
        return installed("detoxify")

    @staticmethod
    def notes(config: DetoxifyConfig) -> list[str]:
        """Return nothing."""
        return []


class WordListScorer:
    """How many entries of a list occur in a text, per word of the text."""

    def __init__(self, config: WordListConfig) -> None:
        words = read_words(config.path)
        self._pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)", re.IGNORECASE)

    def score(self, texts: Sequence[str]) -> list[float]:
        """Return entries per word of each text, 0 where there are no words."""
        counts = [(len(self._pattern.findall(text)), len(text.split())) for text in texts]
        return [hits / words if words else 0.0 for hits, words in counts]

    @staticmethod
    def versions(config: WordListConfig) -> dict[str, str]:
        """Return a digest of the list."""
        return {"word-list": hashlib.blake2b("\n".join(read_words(config.path)).encode(), digest_size=8).hexdigest()}

    @staticmethod
    def notes(config: WordListConfig) -> list[str]:
        """Return that it stands in for the paper's."""
        return [STAND_IN]


def read_words(path: str) -> list[str]:
    """Return the entries of a word list, long ones first.

    Raises DataError where it can't be read or holds none.
    """
    try:
        lines = [line.strip().lower() for _, line in text_lines(user_path(path))]
    except DataError as error:
        raise DataError(f"scorer.path: {error}") from error
    words = sorted({line for line in lines if line}, key=lambda w: (-len(w), w))
    if not words:
        raise DataError(f"scorer.path {path}: holds no words; expected one a line")
    return words
