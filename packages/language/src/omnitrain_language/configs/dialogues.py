"""Settings of data that is made of dialogues."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from omnitrain.api import Config, InputPath, UseData
from omnitrain_language.configs.needs import reading_needs
from omnitrain_language.configs.tokenizers import TokenizerConfig


class PromptedConfig(Config):
    """What data of prompts with replies has in common."""

    path: InputPath
    """A file of records, or a folder or glob pattern of files."""
    elsewhere: bool = False
    """The files lie on another machine: a dry run here says so and goes on."""
    template: str = "chat"
    """How a dialogue is written: `chat` (the tokenizer's own chat template), a template by name (`chatml`, `llama-3`, `orca`,
    `vicuna`, `alpaca`, or of `templates`), `plain`, or a text with {prompt}."""
    templates: InputPath | None = None
    """A .json file of further templates by name; see the package's README."""
    tokenizer: TokenizerConfig = TokenizerConfig()
    """How text becomes tokens."""
    tokenizer_text: UseData | None = None
    """Documents on which the tokenizer is trained; nothing means: the dialogues' own texts."""
    length: Annotated[int, Field(ge=4)] = 128
    """Longest row in tokens; a longer one is malformed."""
    valid_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the records of files in split `valid`, by a stable hash of the prompt."""
    malformed: Literal["refuse", "skip"] = "refuse"
    """What to do with records that can't be read: stop with their file and line, or leave them out and count them."""

    def needs(self) -> dict[str, str]:
        """Return what installs the libraries that these values need; see omnitrain.api.TellsNeeds."""
        return reading_needs(self.path)
