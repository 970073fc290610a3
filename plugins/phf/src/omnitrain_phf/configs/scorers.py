"""Settings of scorers, each with the name of its class. Light: imports only omnitrain.api, pydantic and other settings."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from omnitrain.api import Config, InputModule, InputPath
from omnitrain_language.configs.limits import Positive

Score = Annotated[float, Field(ge=0)]
# pycodestyle's own list, written out so that neither its version nor a user's config changes it.
PEP8_IGNORED = ("E121", "E123", "E126", "E226", "E24", "E704", "W503", "W504")


class PycodestyleConfig(Config):
    """PEP 8 violations per character, by pycodestyle with these options only; no config file is read."""

    scorer_class: ClassVar[str] = "omnitrain_phf.scorers.pep8:Pep8Scorer"
    name: Literal["pycodestyle"] = "pycodestyle"
    """Which scorer."""
    select: list[str] = Field(default_factory=list)
    """Count only codes that begin so; nothing means all but the ignored ones."""
    ignore: list[str] = Field(default_factory=lambda: list(PEP8_IGNORED))
    """Codes that are not counted, where `select` names none."""
    max_line_length: Positive = 79
    """Longest line in characters."""
    past_end: Literal["last-line", "zero"] = "last-line"
    """A violation that is reported behind the last line (a syntax error at the end of the file) counts on the last line, or
    makes all line scores of the file zero, as in the official code."""


class ScrubadubConfig(Config):
    """Personal data per character, by scrubadub."""

    scorer_class: ClassVar[str] = "omnitrain_phf.scorers.personal_data:PersonalDataScorer"
    name: Literal["scrubadub"] = "scrubadub"
    """Which scorer."""
    date_of_birth: bool = False
    """Also dates of birth (age 18 to 100 this year, so scores change with the year)."""
    skype: bool = False
    """Also Skype names."""
    address: bool = False
    """Also US addresses, by pyap."""
    named_entities: InputPath | None = None
    """A spaCy pipeline by folder or package whose people count too, as in the paper; nothing means that names are not found,
    and the header of the scores says so."""


class ProfanityConfig(Config):
    """Probability of profanity, by alt-profanity-check: a small offline stand-in for Detoxify, NOT the paper's classifier."""

    scorer_class: ClassVar[str] = "omnitrain_phf.scorers.toxicity:ProfanityScorer"
    name: Literal["alt-profanity-check"] = "alt-profanity-check"
    """Which scorer."""


class DetoxifyConfig(Config):
    """Probability of toxicity, by Detoxify (extra `detoxify`); its weights are downloaded at first use."""

    scorer_class: ClassVar[str] = "omnitrain_phf.scorers.toxicity:DetoxifyScorer"
    name: Literal["detoxify"] = "detoxify"
    """Which scorer."""
    variant: Literal["original", "unbiased", "multilingual"] = "original"
    """Which of its models. The official code scored training text with `original` and samples with `unbiased`."""
    device: str = "cpu"
    """torch device."""
    batch_size: Positive = 64
    """Texts at a time."""

    def needs(self) -> dict[str, str]:
        """Return what installs the libraries that these values need; see omnitrain.api.TellsNeeds."""
        return {"detoxify": "omnitrain-phf[detoxify]"}


class ClassifierConfig(Config):
    """Probability of a label, by any sequence classifier of transformers."""

    scorer_class: ClassVar[str] = "omnitrain_phf.scorers.classifier:Classifier"
    name: Literal["classifier"] = "classifier"
    """Which scorer."""
    path: InputPath
    """Folder or hub name; only safetensors are read and no code of it is run."""
    revision: str | None = None
    """Commit or tag of a hub model."""
    label: str
    """The label whose probability is the score."""
    multi_label: bool = False
    """Labels exclude each other (softmax) or not (sigmoid)."""
    device: str = "cpu"
    """torch device."""
    batch_size: Positive = 32
    """Texts at a time."""


class WordListConfig(Config):
    """Share of words that are on a list: entries of a file, one a line, matched whole and without case."""

    scorer_class: ClassVar[str] = "omnitrain_phf.scorers.toxicity:WordListScorer"
    name: Literal["word-list"] = "word-list"
    """Which scorer."""
    path: InputPath
    """The file, UTF-8."""


class CallableConfig(Config):
    """Any function list of texts -> list of scores."""

    scorer_class: ClassVar[str] = "omnitrain_phf.scorers.function:FunctionScorer"
    name: Literal["callable"] = "callable"
    """Which scorer."""
    function: InputModule = Field(pattern=r"^[\w.]+:[\w.]+$")
    """Import string "module:attribute"; the module is imported, so name only code that you trust."""
    version: str = "1"
    """Change it when the function changes: scores are cached under it."""


ScorerConfig = Annotated[
    PycodestyleConfig | ScrubadubConfig | ProfanityConfig | DetoxifyConfig | ClassifierConfig | WordListConfig | CallableConfig,
    Field(discriminator="name"),
]
