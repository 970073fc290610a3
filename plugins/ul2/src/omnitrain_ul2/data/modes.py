"""From a tokenizer to the ids that denoising needs: sentinels, mode tokens, pad and EOS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omnitrain.errors import UsageError
from omnitrain_language.configs.tokenizers import TokenizerConfig
from omnitrain_language.encoding import vocabulary_size
from omnitrain_language.tokenizers import Layout, pad_id, sentinel
from omnitrain_ul2.configs.data import ModesConfig
from omnitrain_ul2.paper.vocabulary import Vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def mode_texts(modes: ModesConfig) -> dict[str, str]:
    """Return the text of each kind's mode; empty without modes."""
    return {} if modes.style == "none" else {"R": modes.R, "X": modes.X, "S": modes.S}


def tokenizer_config(config: TokenizerConfig, modes: ModesConfig, sentinels: int) -> TokenizerConfig:
    """Return the tokenizer's settings with mode tokens added, and with the sentinels needed where none are asked for."""
    extra = list(config.extra_tokens)
    if modes.style == "special":
        extra += [text for text in mode_texts(modes).values() if text not in extra]
    count = config.sentinels or (sentinels if config.path is None else 0)
    return TokenizerConfig(**{**config.model_dump(), "extra_tokens": extra, "sentinels": count})


def count_sentinels(tokenizer: PreTrainedTokenizerFast) -> tuple[int, int]:
    """Return (id of sentinel 0, how many count down from it without a gap).

    Raises UsageError when the tokenizer has none.
    """
    known = tokenizer.get_vocab()
    first = known.get(sentinel(0))
    if first is None:
        raise UsageError(
            f"The tokenizer has no sentinels ({sentinel(0)} is missing); set tokenizer.sentinels to add some, or take a T5 one."
        )
    count = 1
    while known.get(sentinel(count)) == first - count:
        count += 1
    return first, count


def vocabulary_of(tokenizer: PreTrainedTokenizerFast, modes: ModesConfig, needs_sentinels: bool, layout: Layout) -> Vocabulary:
    """Return the special ids of a tokenizer.

    Raises UsageError for missing sentinels, for special modes that are not one id, and for an encoder-decoder where padding
    is the end of text.
    """
    first, count = count_sentinels(tokenizer) if needs_sentinels else (vocabulary_size(tokenizer) - 1, 0)
    ids = {}
    for kind, text in mode_texts(modes).items():
        pieces = tokenizer(text, add_special_tokens=False).input_ids
        if modes.style == "special" and len(pieces) != 1:
            raise UsageError(f"modes.{kind}: {text!r} is {len(pieces)} tokens, not one special id; set modes.style to text.")
        ids[kind] = tuple(int(i) for i in pieces)
    if len(set(ids.values())) < len(ids):
        raise UsageError(f"modes: two modes have the same ids ({ids}); choose other texts.")
    pad, eos = pad_id(tokenizer), int(tokenizer.eos_token_id)
    if pad == eos and layout == "encoder-decoder":
        raise UsageError(
            f"the tokenizer has no padding token beside its end of text {tokenizer.eos_token!r}, and padding is what an "
            "encoder-decoder begins its targets with: set tokenizer.extra_tokens: ['<pad>'] to add one, or layout: decoder-only"
        )
    return Vocabulary(first, count, pad, eos, first - count + 1, ids, pad_is_eos=pad == eos)
