"""Scorers: what says how bad a piece of text is, 0 or more. Heavy libraries are imported when a scorer is made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

from omnitrain.api import Config
from omnitrain.errors import DataError, EnvironmentFault, UsageError
from omnitrain_phf.configs.scorers import (
    CallableConfig,
    ClassifierConfig,
    DetoxifyConfig,
    ProfanityConfig,
    PycodestyleConfig,
    ScrubadubConfig,
    WordListConfig,
)

NO_NAMES = "names of people are not looked for: the paper's named-entity detector needs a spaCy model (named_entities)"
STAND_IN = "a stand-in for Detoxify, not the paper's classifier: scores and thresholds are not comparable with the paper's"


class Scorer(Protocol):
    """Scores texts; high is bad."""

    def score(self, texts: Sequence[str]) -> list[float]:
        """Return one score a text, 0 for an empty one."""

    def score_segments(self, segments: Sequence[str]) -> list[float]:
        """Return the score of each segment of one document."""


class Unpositioned:
    """A scorer to which segments are texts like any other."""

    def score(self, texts: Sequence[str]) -> list[float]:
        """Return one score a text."""
        raise NotImplementedError

    def score_segments(self, segments: Sequence[str]) -> list[float]:
        """Return the score of each segment, whatever stands around it."""
        return self.score(segments)


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


def versions_of(config: Config) -> dict[str, str]:
    """Return the versions of all that decides about a scorer's numbers, without importing any of it.

    Raises EnvironmentFault where something is not installed, DataError for a word list that can't be read.
    """
    if isinstance(config, ScrubadubConfig):
        optional = {"dateparser": config.date_of_birth, "pyap": config.address, "spacy": config.named_entities}
        return installed("scrubadub", "phonenumbers", *(name for name, used in optional.items() if used))
    if isinstance(config, WordListConfig):
        return {"word-list": hashlib.blake2b("\n".join(read_words(config.path)).encode(), digest_size=8).hexdigest()}
    if isinstance(config, CallableConfig):
        return {config.function: config.version}
    if isinstance(config, ProfanityConfig):
        return installed("alt-profanity-check", "scikit-learn")
    if isinstance(config, DetoxifyConfig):
        return installed("detoxify")
    return installed("pycodestyle" if isinstance(config, PycodestyleConfig) else "transformers")


def notes_on(config: Config) -> list[str]:
    """Return what a reader of the scores must know."""
    if isinstance(config, ScrubadubConfig) and config.named_entities is None:
        return [NO_NAMES]
    return [STAND_IN] if isinstance(config, ProfanityConfig | WordListConfig) else []


def header(config: Config) -> dict[str, Any]:
    """Return what identifies scores: name, options, versions, notes, and a digest of these."""
    dumped = config.model_dump(mode="json")
    options = {key: value for key, value in dumped.items() if key != "name"}
    identity = {"scorer": dumped["name"], "options": options, "versions": versions_of(config)}
    digest = hashlib.blake2b(json.dumps(identity, sort_keys=True).encode(), digest_size=8).hexdigest()
    return {**identity, "notes": notes_on(config), "digest": digest}


def read_words(path: str) -> list[str]:
    """Return the entries of a word list, long ones first.

    Raises DataError where it can't be read or holds none.
    """
    try:
        content = Path(path).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"scorer.path {path}: can't be read as UTF-8 text ({error})") from error
    words = sorted({line.strip().lower() for line in content.splitlines() if line.strip()}, key=lambda w: (-len(w), w))
    if not words:
        raise DataError(f"scorer.path {path}: holds no words; expected one a line")
    return words


class Classifier(Unpositioned):
    """The probability of one label under a sequence classifier of transformers."""

    def __init__(self, config: ClassifierConfig) -> None:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        self._config = config
        settings: dict[str, Any] = {"revision": config.revision, "trust_remote_code": False}
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(config.path, **settings)
            loaded = AutoModelForSequenceClassification.from_pretrained(config.path, use_safetensors=True, **settings)
        except (OSError, ValueError) as error:
            raise DataError(f"scorer.path {config.path}: no classifier could be loaded ({error})") from error
        self._model: Any = loaded.to(config.device).eval()
        names = self._model.config.label2id
        if config.label not in names:
            raise UsageError(f"scorer.label: {config.path} has no label {config.label!r}; it has {', '.join(map(str, names))}")
        self._index = int(names[config.label])

    def score(self, texts: Sequence[str]) -> list[float]:
        """Return the label's probability for each text; texts longer than the model are cut."""
        import torch

        found: list[float] = []
        size = self._config.batch_size
        with torch.no_grad():
            for start in range(0, len(texts), size):
                batch = list(texts[start : start + size])
                inputs = self._tokenizer(batch, padding=True, truncation=True, return_tensors="pt").to(self._config.device)
                logits = self._model(**inputs).logits.float()
                chances = logits.sigmoid() if self._config.multi_label else logits.softmax(dim=-1)
                found += chances[:, self._index].tolist()
        return [value if text else 0.0 for value, text in zip(found, texts, strict=True)]


class FunctionScorer(Unpositioned):
    """A function of the user's own."""

    def __init__(self, config: CallableConfig) -> None:
        from omnitrain_phf.scorers.references import load_function

        self._function = load_function(config.function)
        self._name = config.function

    def score(self, texts: Sequence[str]) -> list[float]:
        """Call the function.

        Raises DataError where it gives another number of scores than texts, or no numbers.
        """
        found = [float(value) for value in self._function(list(texts))]
        if len(found) != len(texts) or any(not 0 <= value < float("inf") for value in found):
            raise DataError(f"scorer.function {self._name}: expected {len(texts)} numbers of 0 or more, found {found[:3]}...")
        return found


def make_scorer(config: Any) -> Scorer:
    """Return the scorer that a config asks for.

    Raises EnvironmentFault where a library is missing, UsageError or DataError where the config can't be met.
    """
    if isinstance(config, PycodestyleConfig):
        from omnitrain_phf.scorers.pep8 import Pep8Scorer

        return Pep8Scorer(config)
    if isinstance(config, ScrubadubConfig):
        from omnitrain_phf.scorers.personal_data import PersonalDataScorer

        return PersonalDataScorer(config)
    if isinstance(config, ProfanityConfig | DetoxifyConfig | WordListConfig):
        from omnitrain_phf.scorers.toxicity import make_toxicity_scorer

        return make_toxicity_scorer(config)
    if isinstance(config, ClassifierConfig):
        return Classifier(config)
    return FunctionScorer(config)
