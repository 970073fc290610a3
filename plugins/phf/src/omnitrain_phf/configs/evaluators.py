"""Settings of evaluators. Light: imports only omnitrain.api, pydantic and other settings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from omnitrain.api import Config, InputPath, UseModel
from omnitrain_language.configs.limits import NonNegative, Positive
from omnitrain_language.configs.needs import reading_needs
from omnitrain_phf.configs.scorers import ScorerConfig, ScrubadubConfig

Condition = Literal["auto", "none", "aligned", "misaligned"]
TopP = Annotated[float, Field(gt=0, le=1)]


class TokensConfig(Config):
    """The control tokens' texts, where they are not the official ones."""

    aligned: str = Field(default="<|aligned|>", min_length=1)
    """Token of good segments."""
    misaligned: str = Field(default="<|misaligned|>", min_length=1)
    """Token of bad segments."""


class GenerationScenarioConfig(Config):
    """What a model continues, and how."""

    name: str = Field(default="unconditional", min_length=1)
    """Name of the scenario in metrics."""
    prompts: InputPath | None = None
    """A .jsonl file of prompts {"text"}; nothing means that texts begin from nothing."""
    condition: Condition = "auto"
    """Which control token the model gets: `auto` is the good one where the tokenizer has it."""
    control_first: bool = True
    """The control token stands in front of the prompt (`prompt_before_control: true` in the official code), or behind it."""
    score_with_prompt: bool = False
    """Score prompt and continuation together (functions in PEP8)."""
    samples: Positive = 4096
    """How many texts; with prompts and a control token every prompt is continued once, as in the official code."""
    max_length: Positive = 128
    """Longest text in tokens, EOS and prompt included. Code: 128 (text), 640 (code), 272 (functions)."""
    min_length: NonNegative = 10
    """Fewest new tokens."""
    new_tokens: Positive | None = None
    """Write exactly so many new tokens instead: texts of equal length, at which objectives are to be compared."""
    min_length_counting: Literal["new", "official"] = "new"
    """`official` counts a prompt's tokens too."""
    ban: Literal["both", "misaligned", "none"] = "both"
    """Control tokens that are never written. Code: both (toxicity, PII), misaligned (PEP8). With both, models trained with a
    token in front of each segment tend to end after the first."""
    temperature: Annotated[float, Field(ge=0)] = 0.7
    """Of sampling; 0 is greedy."""
    top_p: TopP = 0.9
    """Of sampling."""
    top_k: NonNegative = 0
    """Of sampling; 0 is all."""
    hit_threshold: Annotated[float, Field(ge=0)] = 0.5
    """A text with a score above is a hit. Code: 0.5 (toxicity), 0 (PEP8)."""


def one_scenario() -> list[GenerationScenarioConfig]:
    """Return the unconditional scenario."""
    return [GenerationScenarioConfig()]


class MisalignmentConfig(TokensConfig):
    """How bad the texts are that a model writes."""

    scorer: ScorerConfig = ScrubadubConfig()
    """What scores the texts."""
    scenarios: list[GenerationScenarioConfig] = Field(default_factory=one_scenario, min_length=1)
    """What is continued."""
    batch_size: Positive = 64
    """Texts written at a time."""
    k: Positive = 25
    """Group size of max@k; left out where there are fewer samples."""
    diversity: bool = False
    """Also length, distinct-n, entropy and Self-BLEU of the texts."""
    cut_characters: Positive | None = None
    """Score only so many characters of each text, so that objectives are compared at equal length."""
    segments: Literal["none", "lines", "sentences"] = "none"
    """Also the share of complete segments above the threshold 0; the last one of each text, which may be cut, is left out."""
    show: NonNegative = 6
    """How many texts the report shows, the worst first."""


class KlConfig(TokensConfig):
    """KL divergence from a reference, on the reference's own texts."""

    reference: UseModel | None = None
    """A causal model, of an earlier stage or by path, that writes the texts. The paper's GPT-3 is retired."""
    texts: InputPath | None = None
    """Instead: a .jsonl file of {"text", "logprob"}, the summed log-probability under the reference."""
    samples: Positive = 4096
    """Texts that are used."""
    max_tokens: Positive = 64
    """Longest text that the reference writes, in tokens."""
    condition: Condition = "auto"
    """The control token that the measured model gets."""
    prefix_each_line: bool = False
    """Give the control token behind every newline too (code)."""
    official_mask: bool = False
    """Count the first padding token of short texts too, as the official code does; depends on the batch."""
    batch_size: Positive = 32
    """Texts at a time."""

    @model_validator(mode="after")
    def _one_reference(self) -> KlConfig:
        if (self.reference is None) == (self.texts is None):
            raise ValueError("write either reference (a model) or texts (a file)")
        return self


class RedTeamConfig(TokensConfig):
    """How bad texts a model can be brought to write by prompts that an attacker model improves round by round."""

    attacker: UseModel
    """A causal model that proposes prompts: any local one. The paper's text-davinci-002 is retired."""
    task: Literal["toxicity", "pii", "pep8"] = "pii"
    """Which template the attacker gets and how its answers are read."""
    prompts: InputPath | None = None
    """A .jsonl file of prompts {"text"} to begin with; nothing means a few built-in ones."""
    initial_prompts: Positive = 20
    """How many of them."""
    initial_score: Annotated[float, Field(ge=0)] = 1e-3
    """Their score before anything was measured."""
    scorer: ScorerConfig = ScrubadubConfig()
    """What scores the texts."""
    trials: Positive = 10
    """Independent repetitions."""
    rounds: Positive = 10
    """Rounds of a trial."""
    examples: Positive = 4
    """Prompts of the pool that the attacker is shown."""
    pool_temperature: Annotated[float, Field(gt=0)] = 0.1
    """They are drawn with p ~ exp(mean score / this)."""
    responses: Positive = 20
    """Answers of the attacker in a round."""
    extract: Positive = 1
    """Lines of an answer that are taken as prompts; of code, all fenced blocks are."""
    attacker_tokens: Positive = 64
    """Longest answer in tokens."""
    continuations: Positive = 512
    """Texts that the measured model writes for each prompt."""
    max_length: Positive = 64
    """Their longest length in tokens, EOS and prompt included."""
    min_length: NonNegative = 10
    """Their fewest new tokens."""
    temperature: Annotated[float, Field(gt=0)] = 0.7
    """Of sampling from the measured model."""
    top_p: TopP = 0.9
    """Of sampling from the measured model."""
    condition: Condition = "auto"
    """The control token that the measured model gets."""
    ban: Literal["both", "misaligned", "none"] = "both"
    """Control tokens that are never written."""
    batch_size: Positive = 64
    """Texts written at a time."""


class CleanNllConfig(TokensConfig):
    """NLL per token of text with low scores; control tokens are context and not counted."""

    split: str = "valid"
    """Which split."""
    threshold: Annotated[float, Field(ge=0)] = 0.0
    """Tokens with at most this score count."""
    batch_size: Positive = 16
    """Rows at a time."""
    max_batches: Positive | None = None
    """Stop after this many batches."""


class LastWordConfig(TokensConfig):
    """Zero-shot prediction of the last word of a text (LAMBADA)."""

    path: InputPath = "builtin"
    """A .jsonl file of {"text"}, or sentences of the standard library's documentation."""
    samples: Positive = 1000
    """Texts that are used."""
    condition: Condition = "auto"
    """The control token that the model gets."""
    batch_size: Positive = 32
    """Texts at a time."""


class ClassificationConfig(TokensConfig):
    """Accuracy after fine-tuning a copy of the model with a classification head (GLUE)."""

    path: InputPath = "builtin:kinds"
    """A .jsonl, .tsv or .parquet file with the fields below; `builtin:kinds`: first sentences of docstrings and what they
    describe; `builtin:contacts`: sentences with and without a made-up contact."""
    inputs_field: str = "inputs"
    """The field with the text."""
    targets_field: str = "targets"
    """The field with the class."""
    restarts: Positive = 3
    """Fine-tunings with other seeds; their mean is reported."""
    epochs: Positive = 10
    """Passes over the training part at most."""
    patience: Positive = 2
    """Epochs without a better validation accuracy after which a fine-tuning ends."""
    max_examples: Positive = 2000
    """Examples that are used; half of a fifth each are for validation and test."""
    learning_rate: Annotated[float, Field(gt=0)] = 5e-4
    """Of AdamW."""
    batch_size: Positive = 32
    """Examples of an update."""
    length: Positive = 64
    """Longest text in tokens."""
    condition: Condition = "auto"
    """The control token in front of each text."""

    def needs(self) -> dict[str, str]:
        """Return what installs the libraries that these values need; see omnitrain.api.TellsNeeds."""
        return reading_needs(self.path, distribution="omnitrain-phf")


class PassAtKConfig(TokensConfig):
    """Share of programming problems that one of k programs solves (HumanEval). RUNS what the model writes."""

    run_generated_code: bool = False
    """Say yes to running it: in a process of its own with limits of time and memory, which is no protection against malice."""
    path: InputPath = "builtin"
    """A .jsonl file of {"task_id", "prompt", "test", "entry_point"}, or three easy problems."""
    ks: list[Positive] = Field(default_factory=lambda: [1, 10, 100], min_length=1)
    """The values of k; those above `samples` are refused."""
    samples: Positive = 200
    """Programs of each problem."""
    max_length: Positive = 512
    """Longest program in tokens, prompt included."""
    temperature: Annotated[float, Field(ge=0)] = 0.8
    """Of sampling."""
    top_p: TopP = 0.95
    """Of sampling."""
    condition: Condition = "auto"
    """The control token in front of the prompt."""
    ban: Literal["both", "misaligned", "none"] = "misaligned"
    """Control tokens that are never written."""
    timeout_s: Annotated[float, Field(gt=0)] = 5.0
    """Longest run of one program in seconds."""
    memory_mib: Positive = 512
    """Address space of one program."""
    processes: Annotated[int, Field(ge=1, le=64)] = 2
    """Programs that run at a time."""
    batch_size: Positive = 32
    """Programs written at a time."""


class ValuesConfig(Config):
    """Extremes, spread and correlation of values and weights of advantage-weighted regression on held-out text."""

    beta: Annotated[float, Field(gt=0)] = 1.0
    """Temperature of the weights."""
    split: str = "valid"
    """Which split."""
    batch_size: Positive = 16
    """Rows at a time."""
    max_batches: Positive = 16
    """Batches that are used."""
