"""Settings of all components of this package. Light: imports only omnitrain.api and pydantic."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from omnitrain.api import Config, UseData

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
NonNegative = Annotated[int, Field(ge=0)]


def builtin_text() -> UseData:
    """Use `language/text` with its defaults."""
    return UseData(use="language/text")


class TextConfig(Config):
    """Documents: real text that is on every machine, or files, folders and hub data sets."""

    path: str = "builtin"
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

    @model_validator(mode="after")
    def _leaves_train(self) -> TextConfig:
        if self.valid_fraction + self.test_fraction >= 1:
            raise ValueError("valid_fraction + test_fraction must be below 1, so that documents are left for training")
        return self


class TokenizerConfig(Config):
    """A byte-level BPE tokenizer trained offline on the train split, or one from a folder or the hub.

    Layout of a trained one: pad 0, eos 1, unk 2, bytes and merges, `extra_tokens`, sentinels. <extra_id_0> is
    the last id.
    """

    path: str | None = None
    """A folder with a saved tokenizer or a hub name; nothing means: train one."""
    revision: str | None = None
    """Commit or tag of a hub tokenizer."""
    vocabulary_size: Annotated[int, Field(ge=260)] = 4096
    """Number of ids of a trained tokenizer, special tokens included; a small text may give fewer."""
    sentinels: NonNegative = 0
    """How many <extra_id_i> tokens; <extra_id_0> has the highest id and they count down."""
    extra_tokens: list[str] = Field(default_factory=list)
    """Further special tokens, such as mode tokens, in the ids just below the sentinels."""
    train_characters: Positive = 20_000_000
    """A tokenizer is trained on at most this many characters of the train split."""

    @model_validator(mode="after")
    def _has_room(self) -> TokenizerConfig:
        if len(set(self.extra_tokens)) != len(self.extra_tokens) or "" in self.extra_tokens:
            raise ValueError("extra_tokens must be different from each other and not empty")
        if self.path is None and self.vocabulary_size < 259 + self.sentinels + len(self.extra_tokens):
            raise ValueError(
                f"vocabulary_size {self.vocabulary_size} is too small: 3 special tokens, 256 bytes, "
                f"{self.sentinels} sentinels and {len(self.extra_tokens)} extra tokens need "
                f"{259 + self.sentinels + len(self.extra_tokens)}"
            )
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
    """Inputs and targets for fine-tuning, from .jsonl, .tsv (columns under a line of names) or .parquet files."""

    path: str
    """The training file, or a folder or glob pattern of files; or `builtin:kinds` (first sentence of a docstring of the
    standard library -> "class", "function", "method" or "module") or `builtin:summaries` (name of an object -> that
    sentence), whose splits are cut by module as those of the text `builtin`."""
    valid_path: str | None = None
    """The validation file; nothing means: a share of the training file, see `valid_fraction`."""
    test_path: str | None = None
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

    @model_validator(mode="after")
    def _one_way_to_split(self) -> PairsConfig:
        if (self.split_field or self.path.startswith("builtin:")) and (self.valid_path or self.test_path):
            raise ValueError(
                "valid_path and test_path don't go with split_field or built-in pairs, which have splits of their own"
            )
        return self


class LoraConfig(Config):
    """Low-rank adapters instead of training all weights (arXiv 2106.09685)."""

    rank: Positive = 8
    """Rank of the update (r)."""
    alpha: Annotated[float, Field(gt=0)] = 16
    """Scale: the update is multiplied by alpha / rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout on the adapters' input."""
    target_modules: list[str] | None = None
    """Names of the linear layers that get adapters; nothing means: those that peft knows for the architecture."""


class PretrainedConfig(Config):
    """Settings that both kinds of Hugging Face models share."""

    path: str | None = None
    """A folder or hub name to start from, instead of random weights of a `size`."""
    revision: str | None = None
    """Commit or tag of a hub model."""
    vocabulary_size: Positive | None = None
    """Rows of the embedding; nothing means: as many as the tokenizer of the data has. A loaded model grows by tokens that
    were added to its tokenizer (modes, sentinels) and never shrinks."""
    pad_vocabulary_to: Positive = 1
    """The number of rows is rounded up to a multiple of this (128 on GPUs)."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout rate."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the weights. Mixed precision is the engine's: its master weights are these."""
    attention: Literal["sdpa", "eager"] = "sdpa"
    """Attention implementation of transformers; both accept masks per pair of positions."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass to save memory."""
    lora: LoraConfig | None = None
    """Train low-rank adapters only."""


class T5Config(PretrainedConfig):
    """An encoder-decoder of the T5 1.1 style: gated SiLU, untied head, RMSNorm, relative positions."""

    size: Literal["tiny", "mini", "small", "base", "large", "xl", "ul2-20b"] = "mini"
    """Preset of a model with random weights."""


class CausalConfig(PretrainedConfig):
    """A decoder-only model."""

    size: Literal["tiny", "mini-half", "mini", "small", "medium", "large"] = "mini"
    """Preset of a model with random weights; `small` is GPT-2's 124 M, `mini-half` computes as much as T5's `mini`."""
    style: Literal["gpt2", "llama"] = "gpt2"
    """Learned positions and GELU, or rotary positions, RMSNorm and gated SiLU."""
    max_length: Positive = 1024
    """Longest sequence in tokens of a model with random weights."""
    prefix_attention: bool = False
    """Positions flagged in `prefix_mask` see each other in both directions (a prefix language model)."""


class NllConfig(Config):
    """Settings of both token losses."""

    z_loss: Annotated[float, Field(ge=0)] = 0.0
    """Coefficient of logsumexp(logits)^2; T5X uses 1e-4."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the target's probability that is spread over the vocabulary."""
    group: str | None = None
    """Integer batch field by which the loss is reported in parts, such as `task_ids`."""


class Seq2SeqNllConfig(NllConfig):
    """Token cross entropy of an encoder-decoder."""


class CausalNllConfig(NllConfig):
    """Token cross entropy of a decoder-only model."""


class NllEvaluatorConfig(Config):
    """Mean negative log-likelihood per token and perplexity."""

    splits: list[str] | None = None
    """Which splits; nothing means: all but `train`."""
    batch_size: Positive = 16
    """Rows of a batch."""
    max_batches: Positive | None = None
    """Stop after this many batches of a split."""
    group: str | None = None
    """Integer batch field by which results are given in parts."""
    unigram: bool = False
    """Also report the entropy of the train split's unigrams: what a model that learned only frequencies reaches."""


class SamplesConfig(Config):
    """Texts that the model writes."""

    prompts: list[str] | None = None
    """Prompts; nothing means: beginnings of rows of a split."""
    split: str = "valid"
    """The split that prompts are cut from."""
    count: Positive = 4
    """How many prompts are cut."""
    prompt_tokens: Positive = 16
    """Tokens of a prompt that is cut from a row without a prefix mask."""
    max_new_tokens: Positive = 48
    """Longest continuation in tokens."""
    temperature: Annotated[float, Field(ge=0)] = 0.0
    """0 is greedy."""
    top_k: NonNegative = 0
    """Draw among the k most probable tokens; 0 is all."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Draw among the most probable tokens that hold this much probability."""
    prefix: str = ""
    """Text in front of every prompt, such as a mode token."""
