"""Values of golden files as arrays and tensors, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

Json = Any


def array(value: Json, dtype: str) -> np.ndarray[Any, Any]:
    """Return nested lists as an array."""
    return np.asarray(value, dtype=dtype)


def floats(value: Json) -> Tensor:
    """Return nested lists as a tensor of the default type."""
    return torch.tensor(value, dtype=torch.get_default_dtype())


def weights_of(entries: Mapping[str, Json]) -> dict[str, Tensor]:
    """Return the tensors of a file's weights, by name."""
    return {name: floats(entry["data"]).reshape(entry["shape"]) for name, entry in entries.items()}


def plain(value: Tensor) -> Json:
    """Return nested lists, or a number."""
    return value.detach().tolist()
