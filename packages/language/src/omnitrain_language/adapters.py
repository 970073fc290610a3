"""Low-rank adapters through peft, with the rows of added tokens, saved so that the folder or its named base is complete."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from omnitrain.api import Context
from omnitrain.engine import load_adapter_state, write_json
from omnitrain.errors import DataError, UsageError
from omnitrain_language.configs.models import PretrainedConfig
from omnitrain_language.loading import OWN_BASE, Origin

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_ADAPTER = "adapter_model.safetensors"
_BASE = "adapter_base.json"
_OF_ADAPTERS = (".lora_", ".trainable_tokens_")


class SavesAdapters:
    """The abilities `NamesSaved` and `SavesItself` of a model with adapters.

    Checkpoints keep what is trained: the adapters, and the rows of tokens that were added to a loaded model. The final
    folder holds them in peft's format, and beside them either the frozen weights (`base.safetensors`, under the names of
    the model without adapters, with its config.json) or, where these are those of the config's `path`, where they lie and
    their digests (`adapter_base.json`).
    """

    own_base: bool
    origin: Origin | None

    def _base_names(self) -> Iterator[tuple[str, str]]:
        """Yield (name in the model without adapters, name in this model) of the frozen entries."""
        for name in self.state_dict():  # type: ignore[attr-defined]
            if self._is_base(name):
                plain = name.removeprefix("base_model.model.").replace(".base_layer.", ".").replace(".token_adapter.", ".")
                yield plain, name

    def _is_base(self, name: str) -> bool:
        return not any(part in name for part in _OF_ADAPTERS)

    def saved_state(self) -> Mapping[str, Tensor]:
        """Return the trainable entries of the state."""
        trainable = {name for name, p in self.named_parameters() if p.requires_grad}  # type: ignore[attr-defined]
        state: dict[str, Tensor] = self.state_dict()  # type: ignore[attr-defined]
        return {name: tensor for name, tensor in state.items() if name in trainable}

    def load_saved_state(self, state: Mapping[str, Tensor]) -> None:
        """Load them again.

        Raises DataError when the entries are not exactly the trainable ones.
        """
        if set(state) != set(self.saved_state()):
            raise DataError("the saved adapters don't fit this model: rank, target_modules or the model itself changed")
        self.load_state_dict(dict(state), strict=False)  # type: ignore[attr-defined]

    def save(self, directory: Path) -> None:
        """Write the adapters and, where they can't be had again from a path, the frozen weights."""
        from safetensors.torch import save_file

        # Added tokens are among the adapters. By itself peft would ask the hub whether the vocabulary has grown.
        self.save_pretrained(str(directory), save_embedding_layers=False)  # type: ignore[attr-defined]
        if self.own_base:
            state: dict[str, Tensor] = self.state_dict()  # type: ignore[attr-defined]
            once = {state[own].data_ptr(): (name, state[own].contiguous()) for name, own in self._base_names()}
            save_file(dict(once.values()), directory / OWN_BASE, metadata={"format": "pt"})
            self.config.save_pretrained(str(directory))  # type: ignore[attr-defined]
        elif self.origin is not None:
            write_json(directory / _BASE, self.origin.weights())

    def restore(self, directory: Path) -> None:
        """Read what `save` wrote, or the weights of a model without adapters, below fresh ones.

        Raises RuntimeError when entries are missing or don't fit, DataError when the frozen weights are not those that the
        adapters were trained on.
        """
        from safetensors.torch import load_file

        if (directory / _ADAPTER).is_file():
            self._check_tokens(directory)
            load_adapter_state(self, load_file(directory / _ADAPTER))  # type: ignore[arg-type]
            files = [directory / OWN_BASE] if (directory / OWN_BASE).is_file() else []
            if not files:
                self._check_base(directory)
        else:
            files = sorted(directory.glob("model*.safetensors"))
            if not files:
                raise OSError(f"{directory}: there is no model*.safetensors")
        if files:
            self.own_base = True
            self._load_base({name: tensor for file in files for name, tensor in load_file(file).items()})

    def _check_tokens(self, directory: Path) -> None:
        """Refuse rows of added tokens that are for other ids than here. Raises RuntimeError."""
        stored = json.loads((directory / "adapter_config.json").read_text("utf-8")).get("trainable_token_indices")
        if stored != self.peft_config["default"].trainable_token_indices:  # type: ignore[attr-defined]
            raise RuntimeError("the adapters hold rows for other added tokens: the base's tokenizer changed")

    def _check_base(self, directory: Path) -> None:
        """Refuse a base whose weights are others than those under the adapters in training. Raises DataError."""
        file = directory / _BASE
        if self.origin is None or not file.is_file():
            raise DataError(f"{directory} does not say which weights its adapters belong to ({_BASE} is missing)")
        stored, found = json.loads(file.read_text("utf-8")), self.origin.weights()
        if any(stored.get(key) != found[key] for key in ("commit", "sha256")):
            raise DataError(
                f"the adapters in {directory} were trained on other weights than those in {found['path']} now, which were "
                f"replaced or changed: put back the weights with the digests in {file}"
            )

    def _load_base(self, weights: Mapping[str, Tensor]) -> None:
        own: dict[str, Tensor] = self.state_dict()  # type: ignore[attr-defined]
        names = dict(self._base_names())
        filled = {own[names[name]].data_ptr() for name in weights if name in names}
        unknown = [name for name in weights if name not in names]
        missing = [name for name, full in names.items() if own[full].data_ptr() not in filled]
        if unknown or missing:
            raise RuntimeError(f"missing {missing[:3]}, unexpected {unknown[:3]}")
        self.load_state_dict({names[n]: t for n, t in weights.items()}, strict=False)  # type: ignore[attr-defined]

    def merge_and_unload(self, *args: Any, **kwargs: Any) -> Any:
        """Return the model without adapters, their change written into its weights."""
        merged = self.base_model.merge_and_unload(*args, **kwargs)  # type: ignore[attr-defined]
        _share_embedding(merged)
        return merged


def _share_embedding(model: Any) -> None:
    """Let encoder and decoder read the embedding of the whole model, as peft replaces only one of the three."""
    if model.config.is_encoder_decoder:
        model.set_input_embeddings(model.get_input_embeddings())


def _token_rows(model: Any, config: PretrainedConfig, context: Context) -> dict[str, list[int]] | None:
    """Return the ids that were added to a loaded model by the matrix that holds their rows, None where there are none."""
    origin: Origin | None = getattr(model, "origin", None)
    ids = int(context.facts.get("vocabulary_size", 0))
    if origin is None or ids <= origin.known:
        return None
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    matrices = [embedding] if head is None or head.weight is embedding.weight else [embedding, head]
    if any(getattr(matrix, "bias", None) is not None for matrix in matrices):
        raise UsageError(
            f"lora: {config.path} has a bias in its head, with which rows of added tokens can't be trained alone; leave lora "
            "out, or add no tokens"
        )
    names = {id(module): name for name, module in model.named_modules()}
    new = list(range(origin.known, ids))
    return {names[id(matrix)]: new for matrix in matrices}


def add_adapters(model: PreTrainedModel, config: PretrainedConfig, context: Context) -> Any:
    """Wrap a model so that only low-rank adapters and the rows of added tokens are trained; without `lora` return it itself.

    Raises UsageError when no layer has one of the target names.
    """
    if config.lora is None:
        return model
    import peft

    lora = config.lora
    seq2seq = model.config.is_encoder_decoder
    base = peft.PeftModelForSeq2SeqLM if seq2seq else peft.PeftModelForCausalLM
    adapted = type(base.__name__, (SavesAdapters, base), {})
    settings = peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.target_modules,
        trainable_token_indices=_token_rows(model, config, context),
        # GPT-2 keeps its weights transposed.
        fan_in_fan_out=model.config.model_type == "gpt2",
        task_type="SEQ_2_SEQ_LM" if seq2seq else "CAUSAL_LM",
    )
    origin: Origin | None = getattr(model, "origin", None)
    try:
        with warnings.catch_warnings():
            # peft asks transformers for a property under its old name.
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
            wrapped = adapted(model, settings)
    except ValueError as error:
        raise UsageError(f"lora.target_modules: {error}") from error
    if settings.trainable_token_indices is not None:
        _share_embedding(model)
    wrapped.origin, wrapped.own_base = origin, config.path is None
    return wrapped
