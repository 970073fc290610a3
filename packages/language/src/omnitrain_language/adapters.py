"""Low-rank adapters through peft, with the rows of added tokens, and embedding and head where these are to be trained too."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

from omnitrain.api import Context
from omnitrain.errors import UsageError
from omnitrain_language.adapter_saving import SavesAdapters, share_embedding, trained_copies
from omnitrain_language.configs.models import LoraConfig, PretrainedConfig
from omnitrain_language.loading import Origin

if TYPE_CHECKING:
    from transformers import PreTrainedModel

EMBEDDINGS, HEAD = "embeddings", "head"


def _matrices(model: Any) -> dict[str, nn.Module]:
    """Return embedding and head, as the architecture itself names them, by what settings call them; a model may lack a head."""
    found = {EMBEDDINGS: model.get_input_embeddings(), HEAD: model.get_output_embeddings()}
    return {role: matrix for role, matrix in found.items() if matrix is not None}


def is_tied(model: Any) -> bool:
    """Whether a model's head is its embedding."""
    matrices = _matrices(model)
    return HEAD in matrices and matrices[HEAD].weight is matrices[EMBEDDINGS].weight


def _names(model: Any) -> dict[int, str]:
    return {id(module): name for name, module in model.named_modules()}


def _trained_whole(model: Any, lora: LoraConfig) -> list[str]:
    """Return the names of the matrices that `also_train` asks for.

    Raises UsageError for a head that there is not, for one half of a matrix that is both, and for one that has adapters too.
    """
    matrices, wanted = _matrices(model), set(lora.also_train)
    if wanted - set(matrices):
        raise UsageError(f"lora.also_train: {type(model).__name__} has no head of token logits; leave head out")
    if is_tied(model) and len(wanted) == 1:
        raise UsageError(
            f"lora.also_train: {wanted.pop()} can't be trained alone, since this model's head is its embedding: write "
            "also_train: [embeddings, head] to train the one matrix of both, or untied: true to give the head its own"
        )
    found = [_names(model)[id(matrices[role])] for role in (EMBEDDINGS, HEAD) if role in wanted]
    both = [name for name in found if any(f".{name}".endswith(f".{target}") for target in lora.target_modules or ())]
    if both:
        raise UsageError(
            f"lora: {both[0]} is trained whole by also_train and has adapters by target_modules; take it out of one of them"
        )
    return found


def _token_rows(model: Any, config: PretrainedConfig, context: Context, whole: Sequence[str]) -> dict[str, list[int]] | None:
    """Return the ids that were added to a loaded model by the matrix that holds their rows, None where there are none.

    whole: names of the matrices of which all rows are trained.
    """
    origin: Origin | None = getattr(model, "origin", None)
    ids = int(context.facts.get("vocabulary_size", 0))
    if origin is None or ids <= origin.known:
        return None
    names, matrices = _names(model), _matrices(model)
    roles = (EMBEDDINGS,) if is_tied(model) else tuple(matrices)
    parted = {names[id(matrices[role])]: matrices[role] for role in roles if names[id(matrices[role])] not in whole}
    if any(getattr(matrix, "bias", None) is not None for matrix in parted.values()):
        raise UsageError(
            f"lora: {config.path} has a bias in its head, with which rows of added tokens can't be trained alone; train all of "
            "it with also_train: [embeddings, head], leave lora out, or add no tokens"
        )
    return {name: list(range(origin.known, ids)) for name in parted} or None


def _share_copies(model: Any, tied: bool) -> None:
    """Let what read one matrix before read one trained matrix again, which peft puts in one place only."""
    share_embedding(model)
    if tied and trained_copies(model):
        embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
        head.modules_to_save["default"].weight = embedding.modules_to_save["default"].weight


def add_adapters(model: PreTrainedModel, config: PretrainedConfig, context: Context) -> Any:
    """Wrap a model so that only low-rank adapters, rows of added tokens and what `also_train` names are trained.

    Without `lora` return the model itself. Raises UsageError when no layer has one of the target names, and for embeddings
    or heads that can't be trained as asked.
    """
    if config.lora is None:
        return model
    import peft

    lora = config.lora
    seq2seq, tied = model.config.is_encoder_decoder, is_tied(model)
    base = peft.PeftModelForSeq2SeqLM if seq2seq else peft.PeftModelForCausalLM
    adapted = type(base.__name__, (SavesAdapters, base), {})
    whole = _trained_whole(model, lora)
    settings = peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        use_rslora=lora.rank_stabilised,
        target_modules=lora.target_modules,
        modules_to_save=whole or None,
        trainable_token_indices=_token_rows(model, config, context, whole),
        # GPT-2 keeps its weights transposed.
        fan_in_fan_out=model.config.model_type == "gpt2",
        task_type="SEQ_2_SEQ_LM" if seq2seq else "CAUSAL_LM",
    )
    origin: Origin | None = getattr(model, "origin", None)
    try:
        with warnings.catch_warnings():
            # peft asks transformers for a property under its old name.
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
            # What is tied is tied again below, whatever the architecture calls it.
            warnings.filterwarnings("ignore", message=".*tie_word_embeddings=True.*")
            wrapped = adapted(model, settings)
    except ValueError as error:
        raise UsageError(f"lora.target_modules: {error}") from error
    if whole or settings.trainable_token_indices is not None:
        _share_copies(model, tied)
    wrapped.origin, wrapped.own_base = origin, config.path is None
    return wrapped
