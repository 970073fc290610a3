"""Tokenizers: a byte-level BPE trained offline, or one from a folder or the hub; always saved in Hugging Face format.

Ids of a trained tokenizer: pad 0, eos 1, unk 2, bytes and merges, extra tokens, sentinels. <extra_id_0> is the last id
and sentinels count down, as in T5. Special tokens written in a text are encoded as ordinary text by `encode_documents`.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from omnitrain.api import Context, Progress
from omnitrain.engine import build_once, check_settings_files, explained_loading, find_pretrained, read_component
from omnitrain.errors import DataError, EnvironmentFault, UsageError
from omnitrain_language.belonging import token_identity
from omnitrain_language.configs.tokenizers import TokenizerConfig
from omnitrain_language.tokenizer_training import train

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, EOS, UNK = "<pad>", "</s>", "<unk>"
Layout = Literal["encoder-decoder", "decoder-only"]
# Part of every cache key: raise it when the same settings give other ids.
CODE_VERSION = 2


def sentinel(index: int) -> str:
    """Return the text of a sentinel: "<extra_id_0>"."""
    return f"<extra_id_{index}>"


class _Unseen:
    """Progress that nobody asked for."""

    def advance(self, amount: float = 1, **values: float) -> None:
        """Take note of nothing."""


def train_tokenizer(texts: Iterable[str], config: TokenizerConfig, progress: Progress | None = None) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE on texts; the same texts give the same tokenizer.

    progress: counts characters; what its `advance` raises ends the training.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    added = list(config.extra_tokens) + [sentinel(i) for i in reversed(range(config.sentinels))]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocabulary_size - len(added),
        min_frequency=2,
        special_tokens=[PAD, EOS, UNK],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    train(tokenizer, trainer, texts, progress or _Unseen())
    known = tokenizer.get_vocab()
    taken = [token for token in added if token in known]
    if taken:
        raise UsageError(f"extra_tokens {taken} are already part of the trained vocabulary: choose other names")
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in added])
    return _wrap(tokenizer, added)


def _wrap(tokenizer: Any, added: Sequence[str]) -> PreTrainedTokenizerFast:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        unk_token=UNK,
        extra_special_tokens=list(added),
        clean_up_tokenization_spaces=False,
    )


# transformers answers a folder without any of these by a tokenizer of its own invention, which knows no text.
_SENTENCE_PIECE = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
_VOCABULARIES = ("tokenizer.json", *_SENTENCE_PIECE, "vocab.json", "vocab.txt")


def has_tokenizer(path: str) -> bool:
    """Whether a folder holds a tokenizer; a hub name is taken to have one."""
    folder = Path(path)
    return not folder.is_dir() or any((folder / name).is_file() for name in _VOCABULARIES)


def load_tokenizer(path: str | Path, revision: str | None = None) -> PreTrainedTokenizerFast:
    """Load a fast tokenizer from a folder or the hub; remote code is never run.

    Raises DataError when there is none, UsageError when it has no fast form or no end-of-sequence token.
    """
    from transformers import AutoTokenizer

    place = find_pretrained(str(path), "tokenizer")
    if Path(place).is_dir():
        check_settings_files(Path(place))
    if not has_tokenizer(place):
        raise DataError(f"{path}: no tokenizer could be loaded: the folder holds none of {', '.join(_VOCABULARIES)}")
    _check_readable(Path(place), path)
    _check_named(Path(place), path)
    with explained_loading(place, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(place, revision=revision, trust_remote_code=False)
    if not getattr(tokenizer, "is_fast", False):
        raise UsageError(f"{path}: its tokenizer has no fast form (tokenizer.json); save one with transformers first")
    if tokenizer.eos_token_id is None:
        raise UsageError(
            f"{path}: its tokenizer has no end-of-sequence token, which documents are ended with; name one "
            "of its tokens as eos_token in its tokenizer_config.json"
        )
    return tokenizer


def _check_named(folder: Path, path: str | Path) -> None:
    """Refuse vocab.json and merges.txt alone: GPT-2, BART, RoBERTa, Blenderbot and others differ in what they add to a text.

    Raises DataError.
    """
    telling = ("tokenizer.json", "tokenizer_config.json", "config.json")
    vocabulary = folder / "vocab.json"
    if not vocabulary.is_file() or not (folder / "merges.txt").is_file() or any((folder / name).is_file() for name in telling):
        return
    try:
        known = set(json.loads(vocabulary.read_text("utf-8")))
    except (ValueError, TypeError) as error:
        raise DataError(f"{vocabulary}: no JSON object of tokens and ids ({error}); fetch it again") from error
    likely = "BartTokenizer" if {"<s>", "</s>", "<pad>", "<mask>"} <= known else "GPT2Tokenizer"
    raise DataError(
        f"{path}: vocab.json and merges.txt alone don't tell which tokenizer they are of, and so what is put around a text: "
        f'write a file tokenizer_config.json beside them, {{"tokenizer_class": "{likely}"}} if it is that one'
    )


def _check_readable(folder: Path, path: str | Path) -> None:
    """Refuse a SentencePiece file that nothing here reads; transformers would take it for another format and ask for that.

    Raises EnvironmentFault.
    """
    held = [name for name in _VOCABULARIES if (folder / name).exists()]
    if held and all(name in _SENTENCE_PIECE for name in held) and find_spec("sentencepiece") is None:
        raise EnvironmentFault(
            f"{path}: its tokenizer is the SentencePiece file {held[0]} alone, which needs sentencepiece: pip install "
            "sentencepiece, or save the tokenizer with transformers where that is installed"
        )


def _limited(texts: Iterable[str], characters: int) -> Iterator[str]:
    for text in texts:
        yield text[:characters]
        characters -= len(text)
        if characters <= 0:
            return


def prepare_tokenizer(
    config: TokenizerConfig, texts: Iterable[str], fingerprint: str, workspace: Path, context: Context
) -> PreTrainedTokenizerFast:
    """Return the tokenizer that the config asks for, trained at most once per workspace.

    A model that was made before brings its own: one is trained only for a new model. texts: what a tokenizer is trained on,
    read only when it has to be. fingerprint: of these texts. context: says where a model is from.
    """
    source = context.model_source
    if source is not None and has_tokenizer(source) and (config.path is None or _same_place(config.path, source)):
        return _with_added(_tokenizer_of_model(source, config, context), config)
    if config.path is not None:
        return _with_added(load_tokenizer(config.path, config.revision), config)
    settings = [CODE_VERSION, fingerprint, config.model_dump(mode="json")]
    key = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=12).hexdigest()

    def build(folder: Path) -> None:
        with context.progress("train tokenizer") as progress:
            made = train_tokenizer(_limited(texts, config.train_characters), config, progress)
        made.save_pretrained(str(folder))

    return load_tokenizer(build_once(workspace / "tokenizers" / key, build))


def _tokenizer_of_model(source: str, config: TokenizerConfig, context: Context) -> PreTrainedTokenizerFast:
    """Return the tokenizer beside a model that was made before, and tell so where the settings don't.

    Raises UsageError where the settings ask for another number of ids.
    """
    found = load_tokenizer(source)
    asked = config.vocabulary_size
    if config.path is not None:
        return found
    if asked not in (TokenizerConfig().vocabulary_size, len(found), _asked_by(source).get("vocabulary_size")):
        raise UsageError(
            f"tokenizer.vocabulary_size {asked}: the model that is gone on with has a tokenizer of {len(found)} ids, and only "
            "a new model gets a new one; leave vocabulary_size out, or name another tokenizer with tokenizer.path"
        )
    context.event("tokenizer", taken="the model's own", ids=len(found))
    return found


def _asked_by(source: str) -> Mapping[str, Any]:
    """Return the settings of the tokenizer that a model of ours was trained with, empty for other models."""
    if not (Path(source) / "component.json").is_file():
        return {}
    data = read_component(Path(source)).get("data") or {}
    found = data.get("config", {}).get("tokenizer")
    return found if isinstance(found, Mapping) else {}


def _same_place(path: str, source: str) -> bool:
    """Whether the tokenizer beside a model of ours is the one of that path, with what was added to it in training."""
    trained_with = _asked_by(source).get("path")
    return trained_with is not None and Path(trained_with).absolute() == Path(path).absolute()


def _with_added(tokenizer: PreTrainedTokenizerFast, config: TokenizerConfig) -> PreTrainedTokenizerFast:
    """Add the extra tokens and sentinels that a loaded tokenizer lacks, in new ids behind its own.

    "<pad>" among the extra tokens becomes its padding. Raises UsageError for sentinels that can't continue its own.
    """
    wanted = list(config.extra_tokens) + [sentinel(i) for i in reversed(range(config.sentinels))]
    known = tokenizer.get_vocab()
    own = next((i for i in range(config.sentinels) if sentinel(i) not in known), config.sentinels)
    if 0 < own < config.sentinels:
        raise UsageError(
            f"tokenizer.sentinels {config.sentinels}: the tokenizer of {config.path or 'the model'} has {own} of its own, "
            f"which count down to {sentinel(own - 1)} and can't be continued by new ids: set it to at most {own}, or take a "
            "tokenizer without"
        )
    if PAD in config.extra_tokens:
        tokenizer.pad_token = PAD
    missing = [token for token in wanted if token not in known]
    if missing:
        tokenizer.add_special_tokens({"extra_special_tokens": missing}, replace_extra_special_tokens=False)
    return tokenizer


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerFast) -> str:
    """Hash of all that decides about the ids of documents."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    # Templates, padding and cuts are for whoever calls the tokenizer; documents are encoded without.
    rest = {name: value for name, value in content.items() if name not in ("post_processor", "padding", "truncation")}
    content = json.dumps([rest, tokenizer.eos_token_id, tokenizer.pad_token_id], sort_keys=True)
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


def pad_id(tokenizer: PreTrainedTokenizerFast) -> int:
    """Return the padding id; where a tokenizer has none (GPT-2), its end of sequence."""
    found = tokenizer.pad_token_id
    return int(tokenizer.eos_token_id if found is None else found)


def starts_once_saved(tokenizer: PreTrainedTokenizerFast) -> bool:
    """Whether a tokenizer was trained here and marks where rows start (or end) only once `save_tokenizer` saved it.

    Until then whoever makes rows puts the end of sequence in front.
    """
    adds_nothing = not tokenizer("").input_ids
    return adds_nothing and (tokenizer.pad_token, tokenizer.eos_token) == (PAD, EOS)


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, directory: Path, layout: Layout) -> None:
    """Save a tokenizer beside a model, so that calling it gives what the model was trained on.

    A trained one gets eos behind its text for an encoder-decoder, in front for a decoder-only model. Tokenizers from
    elsewhere keep their own template.
    """
    from tokenizers import processors

    if starts_once_saved(tokenizer):
        tokenizer = copy.deepcopy(tokenizer)
        single = f"$A {EOS}" if layout == "encoder-decoder" else f"{EOS} $A"
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single=single, special_tokens=[(EOS, tokenizer.eos_token_id)]
        )
    tokenizer.save_pretrained(str(directory))


def tokenizer_facts(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """Return what a model must know.

    vocabulary_size, pad_id, eos_id; unextended_size: ids without added tokens; tokens: see `token_identity`.
    """
    identity = token_identity(tokenizer)
    return {
        "vocabulary_size": identity["ids"],
        "unextended_size": 1 + max(tokenizer.backend_tokenizer.get_vocab(with_added_tokens=False).values(), default=-1),
        "pad_id": pad_id(tokenizer),
        "eos_id": int(tokenizer.eos_token_id),
        "tokens": identity,
    }
