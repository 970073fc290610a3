"""Trees of state (dicts, lists, tensors, arrays, numbers, text) as tensors plus JSON, without pickle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

_TENSOR, _ARRAY, _TUPLE, _BYTES, _KEYS = "$tensor", "$array", "$tuple", "$bytes", "$keys"


def map_tree(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """Return a tree like the given one with `function` called for every tensor; what is no tensor stays.

    others: trees of the same shape; the function gets their tensors at the same place too.
    """
    if isinstance(tree, Tensor):
        return function(tree, *others)
    if isinstance(tree, dict):
        return {k: map_tree(function, v, *(o[k] for o in others)) for k, v in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(map_tree(function, *parts) for parts in zip(tree, *others, strict=True))
    return tree


def pack(tree: Any) -> tuple[dict[str, Tensor], Any]:
    """Split a tree into tensors by path and a JSON-able rest. Tensors that share their memory are stored once.

    Raises TypeError for anything else than dicts, lists, tuples, tensors, arrays, numbers, text, bytes and None.
    """
    tensors: dict[str, Tensor] = {}
    seen: dict[tuple[Any, ...], str] = {}
    return tensors, _pack(tree, "", tensors, seen)


def _place(tensor: Tensor, path: str, tensors: dict[str, Tensor], seen: dict[tuple[Any, ...], str]) -> str:
    key = (tensor.device, tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
    if tensor.numel() and key in seen:
        return seen[key]
    seen[key] = path
    tensors[path] = tensor
    return path


def _pack(value: Any, path: str, tensors: dict[str, Tensor], seen: dict[tuple[Any, ...], str]) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Tensor):
        return {_TENSOR: _place(value.detach(), path or "value", tensors, seen)}
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise TypeError(f"array {path!r} holds objects, which can't be saved without pickle")
        stored = torch.from_numpy(np.ascontiguousarray(value).view(np.uint8).reshape(-1).copy())
        tensors[path or "value"] = stored
        return {_ARRAY: path or "value", "dtype": value.dtype.str, "shape": list(value.shape)}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, bytes):
        return {_BYTES: value.hex()}
    if isinstance(value, Mapping):
        if all(isinstance(k, str) and not k.startswith("$") for k in value):
            return {k: _pack(v, f"{path}.{k}" if path else k, tensors, seen) for k, v in value.items()}
        items = [[_pack(k, f"{path}.key{i}", tensors, seen), v] for i, (k, v) in enumerate(value.items())]
        return {_KEYS: [[k, _pack(v, f"{path}.{i}", tensors, seen)] for i, (k, v) in enumerate(items)]}
    if isinstance(value, (list, tuple)):
        packed = [_pack(v, f"{path}.{i}", tensors, seen) for i, v in enumerate(value)]
        return {_TUPLE: packed} if isinstance(value, tuple) else packed
    raise TypeError(f"state {path!r} is a {type(value).__name__}, which can't be saved")


def unpack(tensors: Mapping[str, Tensor], rest: Any) -> Any:
    """Put a packed tree together again."""
    if isinstance(rest, list):
        return [unpack(tensors, v) for v in rest]
    if not isinstance(rest, dict):
        return rest
    if _TENSOR in rest:
        return tensors[rest[_TENSOR]]
    if _ARRAY in rest:
        raw = tensors[rest[_ARRAY]].numpy().tobytes()
        return np.frombuffer(raw, dtype=np.dtype(rest["dtype"])).reshape(rest["shape"]).copy()
    if _TUPLE in rest:
        return tuple(unpack(tensors, v) for v in rest[_TUPLE])
    if _BYTES in rest:
        return bytes.fromhex(rest[_BYTES])
    if _KEYS in rest:
        return {_hashable(unpack(tensors, k)): unpack(tensors, v) for k, v in rest[_KEYS]}
    return {k: unpack(tensors, v) for k, v in rest.items()}


def _hashable(key: Any) -> Any:
    return tuple(key) if isinstance(key, list) else key
