"""Models that were trained elsewhere: read from a folder or the hub, whole, of the right kind, with rows for added tokens."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from omnitrain.api import Context
from omnitrain.engine import check_model_folder, explained_loading, file_digest, find_pretrained, weight_files
from omnitrain.errors import DataError, UsageError
from omnitrain_language.belonging import check_tokenizers, token_identity
from omnitrain_language.configs.models import PretrainedConfig
from omnitrain_language.tokenizers import has_tokenizer, load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_log = logging.getLogger("omnitrain.language")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
OWN_BASE = "base.safetensors"


@dataclass(frozen=True)
class Origin:
    """Where a loaded model's weights are from.

    path: an absolute folder or a hub name. commit: on the hub. known: ids that it had rows with a meaning for; those of the
    data behind them are new.
    """

    path: str
    commit: str | None
    known: int

    def weights(self) -> dict[str, Any]:
        """Return what tells these weights from others: {"path", "commit", "sha256" of each file}."""
        folder = Path(self.path)
        files = weight_files(folder) if folder.is_dir() else []
        return {"path": self.path, "commit": self.commit, "sha256": {file.name: file_digest(file) for file in files}}


def check_origin(stored: Mapping[str, Any], origin: Origin, what: str, file: Path) -> None:
    """Refuse weights at a path that are others than those which a saved model was made with.

    stored: what `Origin.weights` said then. what: "the adapters in ... were trained on". file: that holds `stored`.
    Raises DataError.
    """
    found = origin.weights()
    if any(stored.get(key) != found[key] for key in ("commit", "sha256")):
        raise DataError(
            f"{what} other weights than those in {found['path']} now, which were replaced or changed: put back the weights "
            f"with the digests in {file}"
        )


def vocabulary_rows(config: PretrainedConfig, context: Context, otherwise: int) -> int:
    """Return the rows of the embedding that settings and data ask for. Raises UsageError for too few."""
    ids = int(context.facts.get("vocabulary_size", otherwise))
    size = config.vocabulary_size or ids
    if size < ids and "vocabulary_size" in context.facts:
        raise UsageError(f"vocabulary_size {size} is smaller than the tokenizer, which has {ids} ids; leave it out")
    return size + -size % config.pad_vocabulary_to


def _dropout_settings(architecture: Any, rate: float) -> dict[str, float]:
    names = ("dropout_rate", "resid_pdrop", "embd_pdrop", "attn_pdrop", "attention_dropout", "dropout")
    return {name: rate for name in names if hasattr(architecture, name)}


def load_pretrained(config: PretrainedConfig, context: Context, auto: Any) -> PreTrainedModel:
    """Load a model from `config.path` by one of transformers' auto classes; on the meta device only its shape.

    Its attribute `origin` says where from. Raises DataError when there is no such model, when it is of another kind or its
    weights are not whole, and for a tokenizer of another model.
    """
    assert config.path is not None
    own = None if context.saved is None else context.saved / OWN_BASE
    if own is not None and own.is_file():
        # Adapters over weights that are saved with them: nothing is read from where those once began.
        path, weights = str(context.saved), own
    else:
        path, weights = _place(config.path, context), None
        if Path(path).is_dir():
            check_model_folder(Path(path))
    with explained_loading(path):
        model, missing, commit = _read(path, weights, config, auto)
    check_missing(path, missing)
    head = model.get_output_embeddings()
    if head is not None and head.weight is not model.get_input_embeddings().weight:
        # transformers 5 sets this to true for every T5 and UMT5. Then UMT5 scales its outputs, which only models with a tied
        # head were trained with, and growing the vocabulary replaces the head by the embedding.
        model.config.tie_word_embeddings = False
    model.origin = Origin(path, commit, _known_ids(model, path, config.revision, context.facts))
    grow_vocabulary(model, config, context)
    return model


def _place(path: str, context: Context) -> str:
    try:
        return find_pretrained(path)
    except DataError as error:
        if context.saved is None:
            raise
        raise DataError(
            f"the adapters in {context.saved} need the model that they were trained on: {error} Put it back, or write where it "
            f"is now into config.path of {context.saved / 'component.json'}"
        ) from error


def _read(path: str, weights: Path | None, config: PretrainedConfig, auto: Any) -> tuple[Any, Iterable[str], str | None]:
    """Return (model, entries that its files lack, commit on the hub)."""
    from safetensors.torch import load_file
    from transformers import AutoConfig, GenerationConfig

    settings: dict[str, Any] = {"revision": config.revision, "trust_remote_code": False}
    architecture = AutoConfig.from_pretrained(path, **settings)
    _check_kind(path, architecture, auto)
    for name, rate in _dropout_settings(architecture, config.dropout).items():
        setattr(architecture, name, rate)
    shape = {"config": architecture, "attn_implementation": config.attention, "dtype": DTYPES[config.dtype]}
    commit = getattr(architecture, "_commit_hash", None)
    if torch.get_default_device().type == "meta":
        return auto.from_config(**shape), (), commit
    # Told to go on, it says which entries don't fit instead of a sentence about its own settings.
    told: dict[str, Any] = {"output_loading_info": True, "ignore_mismatched_sizes": True}
    with _own_words():
        if weights is not None:
            # Read in full here: `auto` would look for adapters in that folder.
            kind = auto._model_mapping[type(architecture)]
            shape["state_dict"] = load_file(weights)
            model, found = kind.from_pretrained(None, **shape, **told)
            if (weights.parent / "generation_config.json").is_file():
                model.generation_config = GenerationConfig.from_pretrained(str(weights.parent))
        else:
            model, found = auto.from_pretrained(path, **settings, **shape, use_safetensors=True, **told)
    _check_sizes(path, found["mismatched_keys"])
    return model, found["missing_keys"], commit


def _check_sizes(path: str, mismatched: Iterable[tuple[str, Any, Any]]) -> None:
    """Refuse weights of other sizes than the configuration's. Raises DataError."""
    for name, held, wanted in sorted(mismatched, key=lambda entry: entry[0]):
        raise DataError(
            f"model {path}: {name} of its weights is {list(held)}, by its config.json it is {list(wanted)}: the two don't "
            "belong together; fetch both again, or write the config.json that the weights were made with"
        )


def _check_kind(path: str, architecture: Any, auto: Any) -> None:
    """Refuse a model of another kind than the component. Raises DataError."""
    mapping = getattr(auto, "_model_mapping", None)
    if mapping is None or type(architecture) in mapping.keys():  # noqa: SIM118 - no mapping of its own kind
        return
    kind = getattr(architecture, "model_type", "unknown")
    if getattr(architecture, "is_encoder_decoder", False):
        raise DataError(f"model {path} is an encoder-decoder ({kind}); use language/t5 with encoder-decoder data for it.")
    raise DataError(
        f"model {path} is of the kind {kind!r}, which transformers has no {auto.__name__.removeprefix('AutoModelFor')} model "
        "for; decoder-only models go with language/causal, encoder-decoders with language/t5."
    )


@contextmanager
def _own_words() -> Iterator[None]:
    """Keep transformers' report of loading back, since what matters of it is said or refused here."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def check_missing(path: str, missing: Iterable[str]) -> None:
    """Warn about final layer norms that a checkpoint lacks, and refuse it when it lacks anything else.

    The dictionary of the 20 B UL2 model was converted without one; such a norm stays at its initial scale of 1.
    Raises DataError.
    """
    names = sorted(missing)
    others = [name for name in names if not name.endswith("final_layer_norm.weight")]
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        raise DataError(
            f"model {path}: the checkpoint lacks {', '.join(others[:3])}{more}; it is incomplete or of another architecture"
        )
    if names:
        _log.warning(
            f"model {path}: the checkpoint lacks {', '.join(names)}; it was set to 1, which is right only for checkpoints that "
            "were converted without it, such as UL2 20B. Compare the model's outputs with published ones"
        )


def _known_ids(model: Any, path: str, revision: str | None, facts: Mapping[str, Any]) -> int:
    """Compare the tokenizer beside a model with the data's; return how many ids the model knows.

    Without one it knows all of its rows. Raises DataError where the data's is another.
    """
    rows = int(model.get_input_embeddings().weight.shape[0])
    told = facts.get("tokens")
    if told is None or not has_tokenizer(path):
        return rows
    own = token_identity(load_tokenizer(path, revision))
    check_tokenizers(f"model {path}", own, told)
    return min(rows, int(own["ids"]))


def grow_vocabulary(model: PreTrainedModel, config: PretrainedConfig, context: Context) -> None:
    """Give the embedding of a loaded model rows for tokens that were added to its tokenizer.

    Rows beyond the tokenizer's ids, which many models are padded with, stay. Raises UsageError where the model has fewer
    rows than its tokenizer had before.
    """
    rows, wanted = model.get_input_embeddings().weight.shape[0], vocabulary_rows(config, context, 0)
    own = int(context.facts.get("unextended_size", 0))
    if rows < own:
        raise UsageError(
            f"model {config.path} has {rows} rows of embeddings, but the tokenizer had {own} ids before any was added: it "
            f"belongs to another model; set tokenizer.path to {config.path}"
        )
    if wanted > rows:
        model.resize_token_embeddings(wanted, mean_resizing=False)


def untie(model: Any) -> None:
    """Give a head that is the embedding weights of its own, a copy of it. Raises UsageError for a model without a head."""
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if head is None:
        raise UsageError(f"untied: {type(model).__name__} has no head of token logits; leave untied out")
    model.config.tie_word_embeddings = False
    if head.weight is embedding.weight:
        name = next(name for name, module in model.named_modules() if module is head)
        model.all_tied_weights_keys.pop(f"{name}.weight", None)
        head.weight = torch.nn.Parameter(embedding.weight.detach().clone())
