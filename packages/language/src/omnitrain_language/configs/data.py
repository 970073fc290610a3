"""Settings of data: text, blocks, pairs, instructions, preferences."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from omnitrain.api import Config, InputPath, UseData
from omnitrain_language.configs.dialogues import PromptedConfig
from omnitrain_language.configs.limits import Fraction, Positive
from omnitrain_language.configs.needs import reading_needs
from omnitrain_language.configs.preferences import ReferenceConfig
from omnitrain_language.configs.tokenizers import TokenizerConfig


def builtin_text() -> UseData:
    """Use `language/text` with its defaults."""
    return UseData(use="language/text")


class TextConfig(Config):
    """Documents: real text that is on every machine, or files, folders and hub data sets."""

    path: InputPath = "builtin"
    """`builtin`, a file, a folder, a glob pattern, or `hub:OWNER/NAME`."""
    content: Literal["prose", "code", "both"] = "prose"
    """What `builtin` gives: documentation of the standard library, its source text, or both."""
    field: str = "text"
    """The field that holds the text in .jsonl, .tsv, .parquet and hub records."""
    unit: Literal["file", "paragraph", "line"] = "file"
    """What is one document in a plain text file; paragraphs are parted by blank lines."""
    document_characters: Positive = 65_536
    """Longer plain text documents are cut at line ends into pieces of about this many characters."""
    valid_fraction: Fraction = 0.05
    """Share of the documents in split `valid`; which ones is a stable hash of their text."""
    test_fraction: Fraction = 0.05
    """Share of the documents in split `test`."""
    malformed: Literal["refuse", "skip"] = "refuse"
    """What to do with records that can't be read: stop with their file and line, or leave them out and count them."""
    max_documents: Positive | None = None
    """Stop after this many documents, all splits together."""
    hub_subset: str | None = None
    """Name of the configuration of a hub data set."""
    hub_split: str = "train"
    """Split of a hub data set that is read; ours are cut out of it."""
    hub_revision: str | None = None
    """Commit or tag of a hub data set."""

    def needs(self) -> dict[str, str]:
        """Return what installs the libraries that these values need; see omnitrain.api.TellsNeeds."""
        return reading_needs(self.path)

    @model_validator(mode="after")
    def _leaves_train(self) -> TextConfig:
        if self.valid_fraction + self.test_fraction >= 1:
            raise ValueError("valid_fraction + test_fraction must be below 1, so that documents are left for training")
        return self


class BlocksConfig(Config):
    """Blocks of tokens for causal language models from any text."""

    text: UseData = Field(default_factory=builtin_text)
    """Where the documents come from."""
    tokenizer: TokenizerConfig = TokenizerConfig()
    """How text becomes tokens."""
    length: Annotated[int, Field(ge=2)] = 128
    """Tokens of a row."""
    packing: Literal["wrapped", "packed"] = "wrapped"
    """`wrapped`: rows cut from one stream of all documents. `packed`: whole documents, each seeing only itself."""


class PairsConfig(Config):
    """Inputs and targets for fine-tuning, from .jsonl, .tsv (columns under a line of names) or .parquet files.

    A record with `messages` has its targets in the last one, of the assistant, and its inputs in the lines of those before.
    """

    path: InputPath
    """The training file, or a folder or glob pattern of files; or `builtin:kinds` (first sentence of a docstring of the
    standard library -> "class", "function", "method" or "module") or `builtin:summaries` (name of an object -> that
    sentence), whose splits are cut by module as those of the text `builtin`."""
    valid_path: InputPath | None = None
    """The validation file; nothing means: a share of the training file, see `valid_fraction`."""
    test_path: InputPath | None = None
    """The test file."""
    inputs_field: str = "inputs"
    """The field that holds the inputs."""
    targets_field: str = "targets"
    """The field that holds the targets."""
    split_field: str | None = None
    """The field that names each record's split: train, valid or test; nothing means: see `valid_fraction`."""
    prefix: str = ""
    """Text in front of all inputs, such as a mode token."""
    layout: Literal["encoder-decoder", "decoder-only"] = "encoder-decoder"
    """Two sequences, or one row [inputs; targets] with a prefix mask over the inputs."""
    tokenizer: TokenizerConfig = TokenizerConfig()
    """How text becomes tokens."""
    tokenizer_text: UseData | None = None
    """Documents on which the tokenizer is trained; nothing means: inputs and targets."""
    inputs_length: Annotated[int, Field(ge=2)] = 512
    """Longest inputs in tokens; longer ones lose their end."""
    targets_length: Annotated[int, Field(ge=2)] = 128
    """Longest targets in tokens, end of sequence included; longer ones lose their end."""
    valid_fraction: Fraction = 0.05
    """Share of the training file in split `valid` where neither `valid_path` nor `split_field` is given; which records is a
    stable hash of their inputs. With 0.1, `valid` of the built-in pairs is what the text `builtin` keeps out of `train`."""
    malformed: Literal["refuse", "skip"] = "refuse"
    """What to do with records that can't be read."""

    def needs(self) -> dict[str, str]:
        """Return what installs the libraries that these values need; see omnitrain.api.TellsNeeds."""
        return reading_needs(self.path, self.valid_path, self.test_path)

    @model_validator(mode="after")
    def _one_way_to_split(self) -> PairsConfig:
        if (self.split_field or self.path.startswith("builtin:")) and (self.valid_path or self.test_path):
            raise ValueError(
                "valid_path and test_path don't go with split_field or built-in pairs, which have splits of their own"
            )
        return self


class InstructionsConfig(PromptedConfig):
    """Prompts with responses for fine-tuning a decoder-only model: the loss is on the responses and their ends.

    Files hold `messages` (list of {role, content}, the last one the response), or a prompt and a response in two fields.
    """

    valid_path: InputPath | None = None
    """The validation file; nothing means: a share of the training file, see `valid_fraction`."""
    inputs_field: str = "inputs"
    """The field that holds the prompt of a record without `messages`."""
    targets_field: str = "targets"
    """The field that holds the response, be the prompt `messages` or a text."""
    system_field: str | None = None
    """The field that holds a system message in front of the prompt; an empty one stands for none."""
    length: Annotated[int, Field(ge=4)] = 512
    """Tokens of a row; see `too_long`."""
    too_long: Literal["refuse", "drop", "cut"] = "refuse"
    """What becomes of dialogues longer than `length`: an error that names them, left out, or their end is cut off; one of
    which no token of the response is left is dropped too. What is dropped or cut is counted and named."""
    turns: Literal["last", "all"] = "last"
    """Which responses of a dialogue are in the loss."""
    layout: Literal["packed", "padded"] = "packed"
    """`packed`: several dialogues to a row, each seeing only itself. `padded`: one to a row."""
    packing: Literal["in-order", "best-fit"] = "in-order"
    """How rows are packed, anew each epoch: dialogues in a drawn order, a row closed where the next does not fit; or each
    into the fullest row that has room, longest first, which leaves less room and mixes lengths less freely."""

    def needs(self) -> dict[str, str]:
        """Return what installs the libraries that these values need; see omnitrain.api.TellsNeeds."""
        return reading_needs(self.path, self.valid_path)


class PreferencesConfig(PromptedConfig):
    """Prompts with a better and a worse response.

    Records hold `chosen` and `rejected` as texts or as messages (lists of {role, content}), and the prompt as a text or
    messages in `prompt` or `messages`, or as what the two sides have in common at their beginning.
    """

    reference: ReferenceConfig = ReferenceConfig()
    """The model against which preferences are measured; its log-probabilities are computed once for all pairs."""
