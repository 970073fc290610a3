"""Saving and loading models: Hugging Face format where the model has it, else safetensors, always with its component."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_model as load_safetensors
from safetensors.torch import save_model as save_safetensors
from torch import Tensor, nn

from omnitrain.api.checksums import check_folder
from omnitrain.api.protocols import NamesSaved, SavesItself
from omnitrain.api.stored import COMPONENT, read_as
from omnitrain.errors import EnvironmentFault, UsageError
from omnitrain.runs.directory import COMPONENT_FILE
from omnitrain.runs.files import apply_umask, write_json
from omnitrain.runs.notices import tell

WEIGHTS = "model.safetensors"
ADAPTER = "adapter_model.safetensors"


def save_model(model: nn.Module, directory: Path, component: Mapping[str, Any]) -> None:
    """Write a model into a new folder.

    component: {"use", "config", "facts", "data"}: what makes the same model again.
    Raises EnvironmentFault when the disk is full.
    """
    directory.mkdir(parents=True, exist_ok=True)
    try:
        if isinstance(model, SavesItself):
            model.save(directory)
        elif hasattr(model, "save_pretrained"):
            model.save_pretrained(directory)  # type: ignore[operator]
        else:
            save_safetensors(model, str(directory / WEIGHTS))
    except SafetensorError as error:
        raise EnvironmentFault(f"The model can't be written to {directory}: {error}.") from error
    apply_umask(directory)
    write_json(directory / COMPONENT_FILE, dict(component))


def read_component(directory: Path) -> dict[str, Any]:
    """Return how the model in a folder was made.

    Raises EnvironmentFault when the folder holds no model of ours, or a file that is not as it was saved.
    """
    try:
        component = read_as(directory / COMPONENT_FILE, COMPONENT, "save the model again")
    except FileNotFoundError as error:
        raise EnvironmentFault(f"{directory} holds no model (there is no {COMPONENT_FILE}).") from error
    for extra in check_folder(directory):
        tell(f"{directory / extra} was not saved with the model")
    return component


def restore_weights(model: nn.Module, directory: Path) -> None:
    """Load saved weights into a model that was built again from the same component.

    Raises EnvironmentFault when weights are missing or do not fit, UsageError for adapters that the model has no place for.
    """
    try:
        if isinstance(model, SavesItself):
            model.restore(directory)
        elif (directory / ADAPTER).exists():
            _restore_adapter(model, directory)
        elif hasattr(model, "save_pretrained"):
            _restore_pretrained(model, directory)
        else:
            load_safetensors(model, str(directory / WEIGHTS))
    except (OSError, RuntimeError, KeyError, SafetensorError) as error:
        raise EnvironmentFault(f"The weights in {directory} can't be loaded: {error}.") from error


def _restore_adapter(model: nn.Module, directory: Path) -> None:
    from safetensors.torch import load_file

    if not hasattr(model, "peft_config"):
        raise UsageError(
            f"{directory} holds adapters, and by its settings the model has none: leave lora out beside 'from' to take them as "
            "they are, or merge them first ('omnitrain export', or a stage that merges)"
        )
    load_adapter_state(model, load_file(directory / ADAPTER))


def load_adapter_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load the entries of adapters, as peft names them, into a model of peft.

    Raises RuntimeError where they are not exactly the entries that the model has.
    """
    from peft import get_peft_model_state_dict, set_peft_model_state_dict

    own = set(get_peft_model_state_dict(model, save_embedding_layers=False))
    missing, unexpected = sorted(own - set(state)), sorted(set(state) - own)
    if missing or unexpected:
        raise RuntimeError(f"the adapters are of another model: missing {missing[:3]}, unexpected {unexpected[:3]}")
    set_peft_model_state_dict(model, dict(state))


def _restore_pretrained(model: nn.Module, directory: Path) -> None:
    """Read one or several safetensors files; entries that share memory with a loaded one may be absent."""
    from safetensors.torch import load_file

    files = sorted(directory.glob("model*.safetensors"))
    if not files:
        raise OSError("there is no model*.safetensors")
    state: dict[str, Tensor] = {}
    for file in files:
        state.update(load_file(file))
    own = model.state_dict()
    loaded = {own[k].data_ptr() for k in state if k in own}
    missing = [k for k, v in own.items() if k not in state and v.data_ptr() not in loaded]
    unexpected = [k for k in state if k not in own]
    if missing or unexpected:
        raise RuntimeError(f"missing {missing[:3]}, unexpected {unexpected[:3]}")
    model.load_state_dict(state, strict=False)


def model_state(model: nn.Module) -> Mapping[str, Tensor]:
    """Return the entries that a checkpoint keeps: those that the model names, else all."""
    return model.saved_state() if isinstance(model, NamesSaved) else model.state_dict()


def load_model_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put a checkpoint's entries back."""
    if isinstance(model, NamesSaved):
        model.load_saved_state(state)
    else:
        model.load_state_dict(dict(state))


def weights_digest(model: nn.Module) -> str:
    """Return the SHA-256 of all parameters and buffers, in order of name: equal digits mean bitwise equal weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """Return (all, trainable) parameters; works on the meta device."""
    every = {id(p): p for p in model.parameters()}.values()
    return sum(p.numel() for p in every), sum(p.numel() for p in every if p.requires_grad)
