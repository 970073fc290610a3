"""Batches of several data as one: padded at the end to the longest, then put behind each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from omnitrain.api.data import Batch
from omnitrain.api.fields import Fields, parse_field
from omnitrain.errors import DataError


def padding_value(name: str, value: Tensor, facts: Mapping[str, Any]) -> float:
    """Return what a field is padded with at its end: token ids with the data's `pad_id`, all else with 0.

    That more such padding changes no loss is part of the contract that `omnitrain check` holds data and objectives to.
    """
    is_token = not value.is_floating_point() and (name == "labels" or name.endswith("input_ids"))
    return float(facts.get("pad_id", 0)) if is_token else 0.0


def is_length(dimension: str) -> bool:
    """Whether a dimension is a length, which padding may make longer."""
    return "length" in dimension and not dimension.isdigit()


def without_rows(fields: Fields) -> list[str]:
    """Name the fields whose rows can't be put behind each other: those without a dimension named "batch"."""
    return [name for name, spec in fields.items() if "batch" not in (parse_field(spec).dims or ())]


def join(batches: Sequence[Batch], fields: Fields, facts: Mapping[str, Any]) -> Batch:
    """Return one batch with the rows of all, in their order. What is no declared field is left out.

    fields: with a dimension named "batch" each, see `without_rows`; the dimensions named "length" are padded. Raises DataError
    where another dimension has different sizes, or where some of the batches lack a field.
    """
    if len(batches) == 1:
        return {name: batches[0][name] for name in fields if name in batches[0]}
    joined: Batch = {}
    for name, spec in fields.items():
        values = [batch[name] for batch in batches if name in batch]
        if not values:
            continue
        if len(values) < len(batches):
            raise DataError(f"The field {name!r} is in some batches and not in others, so their rows can't be one batch.")
        joined[name] = _joined(name, values, parse_field(spec).dims or (), facts)
    return joined


def _joined(name: str, values: list[Any], dims: tuple[str, ...], facts: Mapping[str, Any]) -> Any:
    if not all(isinstance(value, (np.ndarray, Tensor)) for value in values):
        return [item for value in values for item in value]
    tensors = [torch.from_numpy(value) if isinstance(value, np.ndarray) else value for value in values]
    axis = dims.index("batch")
    if len(dims) > 1:
        widths = [max(sizes) for sizes in zip(*(tensor.shape for tensor in tensors), strict=True)]
        tensors = [_widened(name, tensor, dims, widths, facts) for tensor in tensors]
    return torch.cat(tensors, axis)


def _widened(name: str, tensor: Tensor, dims: tuple[str, ...], widths: list[int], facts: Mapping[str, Any]) -> Tensor:
    """Pad a tensor at the end of its lengths."""
    missing = [0 if dim == "batch" else wide - size for dim, wide, size in zip(dims, widths, tensor.shape, strict=True)]
    if not any(missing):
        return tensor
    for dim, amount in zip(dims, missing, strict=True):
        if amount and not is_length(dim):
            raise DataError(
                f"The dimension {dim!r} of the field {name!r} has different sizes in the data that are mixed, and it is no "
                "length that could be padded; set unit: update, so that no batch holds both."
            )
    shape = [pair for amount in reversed(missing) for pair in (0, amount)]
    return torch.nn.functional.pad(tensor, shape, value=padding_value(name, tensor, facts))
