"""A tokenizer with one token for each symbol of SELFIES, byte-level BPE for all else, and Llama 3's marks of turns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from omnitrain.api import Context, Progress
from omnitrain.engine import build_once
from omnitrain.errors import UsageError
from omnitrain_language.tokenizer_training import train
from omnitrain_language.tokenizers import PAD, has_tokenizer, load_tokenizer
from omnitrain_omnimol.configs.data import MoleculeTokenizerConfig
from omnitrain_omnimol.molecules.texts import symbols
from omnitrain_omnimol.paper.chat import BEGIN, HEADER, HEADER_END, TURN_END

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MARKS = (BEGIN, HEADER, HEADER_END, TURN_END)
_VERSION = 1


def _plain(texts: Iterable[str], found: set[str]) -> Iterator[str]:
    """Yield texts without the symbols of SELFIES, which are noted."""
    for text in texts:
        own = set(symbols(text)) - {"."}
        found |= own
        for symbol in own:
            text = text.replace(symbol, " ")
        yield text


def train_tokenizer(texts: Iterable[str], size: int, progress: Progress) -> PreTrainedTokenizerFast:
    """Train a tokenizer; ids: padding, marks, bytes and merges, symbols in order of their names."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        special_tokens=[PAD, *MARKS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    found: set[str] = set()
    train(tokenizer, trainer, _plain(texts, found), progress)
    tokenizer.add_tokens([AddedToken(symbol, special=False, normalized=False) for symbol in sorted(found)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=TURN_END, clean_up_tokenization_spaces=False
    )


def prepare_tokenizer(
    config: MoleculeTokenizerConfig, texts: Iterable[str], fingerprint: str, workspace: Path, context: Context
) -> PreTrainedTokenizerFast:
    """Return the tokenizer of the model that is gone on with, of a path, or one that is trained once on texts.

    fingerprint: of these texts. Raises UsageError for one without the marks of turns.
    """
    source = context.model_source
    if source is not None and config.path is None and has_tokenizer(source):
        found = load_tokenizer(source)
        context.event("tokenizer", taken="the model's own", ids=len(found))
        return _checked(found, source)
    if config.path is not None:
        return _checked(load_tokenizer(config.path), config.path)
    key = hashlib.blake2b(json.dumps([_VERSION, fingerprint, config.vocabulary_size]).encode(), digest_size=12).hexdigest()

    def build(folder: Path) -> None:
        with context.progress("train tokenizer") as progress:
            train_tokenizer(texts, config.vocabulary_size, progress).save_pretrained(str(folder))

    return load_tokenizer(build_once(workspace / "molecule-tokenizers" / key, build))


def _checked(tokenizer: PreTrainedTokenizerFast, where: str) -> PreTrainedTokenizerFast:
    missing = [mark for mark in MARKS if mark not in tokenizer.get_vocab()]
    if missing:
        raise UsageError(
            f"tokenizer.path {where}: it has no token {', '.join(missing)}, by which turns are marked: take Llama 3's or one "
            "with these tokens, or leave tokenizer.path out and one is trained"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer
