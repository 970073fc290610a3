"""Low-rank adapters through peft, saved so that a model with adapters is complete in its folder."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from omnitrain.errors import DataError, UsageError
from omnitrain_language.configs.models import PretrainedConfig

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_ADAPTER = "adapter_model.safetensors"
_BASE = "base.safetensors"


class SavesAdapters:
    """The abilities `NamesSaved` and `SavesItself` of a model with adapters.

    Checkpoints keep the adapters only. The final folder holds them in peft's format and, unless the frozen weights come
    from the config's `path`, these too (`base.safetensors`, under the names of the model without adapters).
    """

    own_base: bool

    def _base_names(self) -> Iterator[tuple[str, str]]:
        """Yield (name in the model without adapters, name in this model) of the frozen entries."""
        for name in self.state_dict():  # type: ignore[attr-defined]
            if ".lora_" not in name:
                yield name.removeprefix("base_model.model.").replace(".base_layer.", "."), name

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

        self.save_pretrained(str(directory))  # type: ignore[attr-defined]
        if self.own_base:
            state: dict[str, Tensor] = self.state_dict()  # type: ignore[attr-defined]
            once = {state[own].data_ptr(): (name, state[own].contiguous()) for name, own in self._base_names()}
            save_file(dict(once.values()), directory / _BASE, metadata={"format": "pt"})

    def restore(self, directory: Path) -> None:
        """Read what `save` wrote, or the weights of a model without adapters, below fresh ones.

        Raises RuntimeError when entries are missing or don't fit.
        """
        from safetensors.torch import load_file

        if (directory / _ADAPTER).is_file():
            from peft import set_peft_model_state_dict

            set_peft_model_state_dict(self, load_file(directory / _ADAPTER))
            files = [directory / _BASE] if (directory / _BASE).is_file() else []
        else:
            files = sorted(directory.glob("model*.safetensors"))
            if not files:
                raise OSError(f"{directory}: there is no model*.safetensors")
        if files:
            self.own_base = True
            self._load_base({name: tensor for file in files for name, tensor in load_file(file).items()})

    def _load_base(self, weights: Mapping[str, Tensor]) -> None:
        own: dict[str, Tensor] = self.state_dict()  # type: ignore[attr-defined]
        names = dict(self._base_names())
        filled = {own[names[name]].data_ptr() for name in weights if name in names}
        unknown = [name for name in weights if name not in names]
        missing = [name for name, full in names.items() if own[full].data_ptr() not in filled]
        if unknown or missing:
            raise RuntimeError(f"missing {missing[:3]}, unexpected {unknown[:3]}")
        self.load_state_dict({names[n]: t for n, t in weights.items()}, strict=False)  # type: ignore[attr-defined]


def add_adapters(model: PreTrainedModel, config: PretrainedConfig) -> Any:
    """Wrap a model so that only low-rank adapters are trained; without `lora` return the model itself.

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
        # GPT-2 keeps its weights transposed.
        fan_in_fan_out=model.config.model_type == "gpt2",
        task_type="SEQ_2_SEQ_LM" if seq2seq else "CAUSAL_LM",
    )
    try:
        with warnings.catch_warnings():
            # peft asks transformers for a property under its old name.
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
            wrapped = adapted(model, settings)
    except ValueError as error:
        raise UsageError(f"lora.target_modules: {error}") from error
    wrapped.own_base = config.path is None
    return wrapped
