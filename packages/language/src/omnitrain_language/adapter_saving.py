"""How a model with adapters is saved, so that its folder or the base that it names is complete, and merged."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from omnitrain.engine import load_adapter_state, write_json
from omnitrain.errors import DataError, UsageError
from omnitrain_language.loading import OWN_BASE, Origin, check_origin

_ADAPTER = "adapter_model.safetensors"
_BASE = "adapter_base.json"
_OF_ADAPTERS = (".lora_", ".trainable_tokens_", ".modules_to_save.")
# What peft puts between the names of a model and those of its own weights below adapters.
_INSERTED = (".base_layer.", ".token_adapter.", ".original_module.")
# Our settings by peft's names: those that decide what saved adapters are.
_SETTINGS = {
    "rank": "r",
    "alpha": "lora_alpha",
    "rank_stabilised": "use_rslora",
    "target_modules": "target_modules",
    "also_train": "modules_to_save",
}


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, list | set | tuple) else value


def share_embedding(model: Any) -> None:
    """Let encoder and decoder read the embedding of the whole model, as peft replaces only one of the three."""
    if model.config.is_encoder_decoder:
        model.set_input_embeddings(model.get_input_embeddings())


def trained_copies(model: Any) -> list[Any]:
    """Return peft's pairs in place of matrices that are trained whole: the frozen one, and a copy that is trained."""
    from peft.utils.other import ModulesToSaveWrapper

    return [module for module in model.modules() if isinstance(module, ModulesToSaveWrapper)]


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
                plain = name.removeprefix("base_model.model.")
                for part in _INSERTED:
                    plain = plain.replace(part, ".")
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
            self.generation_config.save_pretrained(str(directory))  # type: ignore[attr-defined]
        elif self.origin is not None:
            write_json(directory / _BASE, self.origin.weights())

    def restore(self, directory: Path) -> None:
        """Read what `save` wrote, or the weights of a model without adapters, below fresh ones.

        Raises RuntimeError when entries are missing or don't fit, UsageError for adapters of other settings, DataError when
        the frozen weights are not those that the adapters were trained on.
        """
        from safetensors.torch import load_file

        if (directory / _ADAPTER).is_file():
            self._check_settings(directory)
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
        if not (directory / _ADAPTER).is_file():
            for pair in trained_copies(self):
                pair.modules_to_save["default"].load_state_dict(pair.original_module.state_dict())

    def _check_settings(self, directory: Path) -> None:
        """Refuse saved adapters that other settings made than this model's, and rows of other added tokens.

        Raises UsageError, and RuntimeError for the rows.
        """
        stored = json.loads((directory / "adapter_config.json").read_text("utf-8"))
        own = self.peft_config["default"]  # type: ignore[attr-defined]
        for setting, name in _SETTINGS.items():
            there, here = _plain(stored.get(name)), _plain(getattr(own, name))
            if there != here:
                raise UsageError(
                    f"lora.{setting}: the adapters in {directory} were made with {there}, here it is {here}; leave lora out to "
                    "go on with them, or merge them first (stage language/merge) to begin with fresh ones"
                )
        if stored.get("trainable_token_indices") != own.trainable_token_indices:
            raise RuntimeError("the adapters hold rows for other added tokens: the base's tokenizer changed")

    def _check_base(self, directory: Path) -> None:
        """Refuse a base whose weights are others than those under the adapters in training. Raises DataError."""
        file = directory / _BASE
        if self.origin is None or not file.is_file():
            raise DataError(f"{directory} does not say which weights its adapters belong to ({_BASE} is missing)")
        check_origin(json.loads(file.read_text("utf-8")), self.origin, f"the adapters in {directory} were trained on", file)

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
        share_embedding(merged)
        return merged
