"""Official checkpoints: `.model` (a pickle of kwargs) and `.weights` (a state dict), without running what is in them."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from omnitrain.errors import DataError
from omnitrain_vpt.models.network.architecture import Architecture

# Plain containers and numbers; everything else that a pickle names is refused.
_ALLOWED = {
    ("collections", "OrderedDict"),
    ("builtins", "set"),
    ("builtins", "frozenset"),
    ("builtins", "complex"),
}


class _PlainUnpickler(pickle.Unpickler):
    """Reads pickles of plain values; a pickle that names a function or class to call is refused before it is called."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it names {module}.{name}, which would run code")


@dataclass(frozen=True)
class ModelFile:
    """What a `.model` file says. kwargs: of the network. temperature: of the action heads."""

    kwargs: Mapping[str, Any]
    temperature: float

    @property
    def architecture(self) -> Architecture:
        """The network's shapes."""
        return Architecture.from_kwargs(self.kwargs)


def read_model_file(path: Path) -> ModelFile:
    """Read a `.model` file.

    Raises DataError when it is missing, damaged, would run code, or lacks the kwargs.
    """
    try:
        content = _PlainUnpickler(io.BytesIO(path.read_bytes())).load()
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}.") from error
    except pickle.UnpicklingError as error:
        raise DataError(f"{path} is refused: {error}. A .model file holds plain settings only.") from error
    except Exception as error:  # a damaged pickle raises anything
        raise DataError(f"{path} is damaged: {type(error).__name__}: {error}.") from error
    try:
        arguments = content["model"]["args"]
        kwargs = dict(arguments["net"]["args"])
        temperature = float(dict(arguments.get("pi_head_opts") or {}).get("temperature", 1.0))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f'{path} has no ["model"]["args"]["net"]["args"]: it is no .model file of VPT.') from error
    return ModelFile(kwargs, temperature)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a `.weights` file (torch's format, tensors only) or a `.safetensors` file.

    Raises DataError when it is missing, damaged, or holds anything but tensors.
    """
    if not path.is_file():
        raise DataError(f"{path} is missing; expected a .weights or .safetensors file.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises its own kinds for damage and for refused contents
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path} can't be read as weights: {reason}") from error
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise DataError(f"{path} holds no state dict of tensors.")
    return dict(state)


def load_weights(model: nn.Module, path: Path) -> list[str]:
    """Load a file's weights into a model; return the names that only one of the two has.

    The official loader takes what fits and is silent about the rest; here shapes must agree, and the value head alone may be
    missing or left over (an IDM's file has none).
    Raises DataError otherwise.
    """
    state = read_weights(path)
    own = model.state_dict()
    wrong = [n for n, v in state.items() if n in own and own[n].shape != v.shape]
    if wrong:
        name = wrong[0]
        raise DataError(
            f"{path}: {name} has shape {list(state[name].shape)}, the network has {list(own[name].shape)}; give the .model "
            "file that belongs to these weights."
        )
    apart = sorted(set(own) ^ set(state))
    serious = [name for name in apart if not name.startswith("value_head.")]
    if serious:
        kind = "lacks" if serious[0] in own else "has, beside what the network has,"
        raise DataError(f"{path} {kind} {', '.join(serious[:3])}; give the .model file that belongs to these weights.")
    model.load_state_dict(state, strict=False)
    return apart
