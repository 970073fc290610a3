"""Toxicity: Detoxify as in the paper, and smaller offline stand-ins that are named as such."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from omnitrain.errors import EnvironmentFault
from omnitrain_phf.configs.scorers import DetoxifyConfig, ProfanityConfig, WordListConfig
from omnitrain_phf.scorers.make import Scorer, Unpositioned, read_words


class ProfanityScorer(Unpositioned):
    """The probability of profanity under the linear model that alt-profanity-check ships."""

    def __init__(self) -> None:
        from profanity_check import predict_prob  # type: ignore[import-untyped,import-not-found,unused-ignore]

        self._predict = predict_prob

    def score(self, texts: Sequence[str]) -> list[float]:
        """Return the probability for each text; that of an empty one is the model's prior."""
        return [float(chance) for chance in self._predict(list(texts))] if texts else []


class DetoxifyScorer(Unpositioned):
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


class WordListScorer(Unpositioned):
    """How many entries of a list occur in a text, per word of the text."""

    def __init__(self, config: WordListConfig) -> None:
        words = read_words(config.path)
        self._pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)", re.IGNORECASE)

    def score(self, texts: Sequence[str]) -> list[float]:
        """Return entries per word of each text, 0 where there are no words."""
        counts = [(len(self._pattern.findall(text)), len(text.split())) for text in texts]
        return [hits / words if words else 0.0 for hits, words in counts]


def make_toxicity_scorer(config: ProfanityConfig | DetoxifyConfig | WordListConfig) -> Scorer:
    """Return the scorer that a config asks for."""
    if isinstance(config, ProfanityConfig):
        return ProfanityScorer()
    return DetoxifyScorer(config) if isinstance(config, DetoxifyConfig) else WordListScorer(config)
