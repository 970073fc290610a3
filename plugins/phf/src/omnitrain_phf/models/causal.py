"""Model `phf/causal`: any causal language model with control tokens and, where asked for, a value head."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from omnitrain.api import Context
from omnitrain_language.adapter_saving import SavesAdapters
from omnitrain_language.models import build_causal
from omnitrain_phf.configs.models import CausalWithValuesConfig, ValueHeadConfig
from omnitrain_phf.paper.control_tokens import set_token_rows

HEAD = "value_head.weight"
HEAD_FILE = "value_head.safetensors"


class ValueHead(nn.Module):
    """V_t = -sigmoid(w . h_t): what score the rest of the segment is expected to have, -0.5 before training.

    width: of the hidden state. sigmoid: without it V_t is plainly w . h_t. detached: h gets no gradient from here.
    """

    def __init__(self, width: int, sigmoid: bool = True, detached: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, width))
        self.sigmoid, self.detached = sigmoid, detached

    def forward(self, hidden: Tensor) -> Tensor:
        """Return values [batch, length] of hidden states [batch, length, width], never in half precision."""
        hidden = hidden.detach() if self.detached else hidden
        with torch.autocast(hidden.device.type, enabled=False):
            product = functional.linear(hidden.to(self.weight.dtype), self.weight)[..., 0]
            return -torch.sigmoid(product) if self.sigmoid else product


class HasValues:
    """A causal model of transformers whose `with_values=True` adds `values` to its output."""

    has_values = True
    value_head: ValueHead

    def forward(self, *args: Any, with_values: bool = False, **kwargs: Any) -> Any:
        """Call the model; the values are of its last hidden state."""
        if not with_values:
            return super().forward(*args, **kwargs)  # type: ignore[misc]
        out = super().forward(*args, **kwargs, output_hidden_states=True)  # type: ignore[misc]
        out["values"] = self.value_head(out.hidden_states[-1])
        out["hidden_states"] = None
        return out

    def save(self, directory: Path) -> None:
        """Write the model in Hugging Face's format; the head is one more entry, which others leave out.

        Beside adapters it lies in a file of its own.
        """
        from safetensors.torch import save_file

        if isinstance(self, SavesAdapters):
            super().save(directory)  # type: ignore[misc]
            save_file({HEAD: self.value_head.weight.detach().clone()}, directory / HEAD_FILE)
            return
        self.save_pretrained(str(directory))  # type: ignore[attr-defined]

    def _load_base(self, weights: Mapping[str, Tensor]) -> None:
        """Read a whole model below fresh adapters, and its head where it has one."""
        super()._load_base({name: tensor for name, tensor in weights.items() if name != HEAD})  # type: ignore[misc]
        if HEAD in weights:
            self.load_state_dict({HEAD: weights[HEAD]}, strict=False)  # type: ignore[attr-defined]

    def _is_base(self, name: str) -> bool:
        """Whether adapters leave an entry as it is; the head is trained beside them."""
        return name != HEAD and super()._is_base(name)  # type: ignore[misc]

    def merge_and_unload(self, *args: Any, **kwargs: Any) -> Any:
        """Return the model without adapters, itself where it has none; it keeps the head."""
        merge = getattr(super(), "merge_and_unload", None)
        return self if merge is None else _with_head(merge(*args, **kwargs), self.value_head)

    def restore(self, directory: Path) -> None:
        """Read a saved model; one without a value head keeps the fresh one.

        Raises OSError where there is none, RuntimeError when entries are missing or don't fit.
        """
        from safetensors.torch import load_file

        if isinstance(self, SavesAdapters):
            super().restore(directory)  # type: ignore[misc]
            if (directory / HEAD_FILE).is_file():
                self.load_state_dict(load_file(directory / HEAD_FILE), strict=False)  # type: ignore[attr-defined]
            return
        files = sorted(directory.glob("model*.safetensors"))
        if not files:
            raise OSError(f"{directory}: there is no model*.safetensors")
        state = {name: tensor for file in files for name, tensor in load_file(file).items()}
        own: dict[str, Tensor] = self.state_dict()  # type: ignore[attr-defined]
        filled = {own[name].data_ptr() for name in state if name in own}
        missing = [n for n, t in own.items() if n not in state and t.data_ptr() not in filled and n != HEAD]
        unknown = [name for name in state if name not in own]
        if missing or unknown:
            raise RuntimeError(f"missing {missing[:3]}, unexpected {unknown[:3]}")
        self.load_state_dict(state, strict=False)  # type: ignore[attr-defined]


def add_value_head(model: Any, config: ValueHeadConfig) -> Any:
    """Give a causal model a value head; its weight is saved and loaded with the model."""
    embedding = model.get_output_embeddings().weight
    head = ValueHead(embedding.shape[1], config.sigmoid, config.detached)
    return _with_head(model, head.to(device=embedding.device))


def _with_head(model: Any, head: ValueHead) -> Any:
    model.value_head = head
    base = type(model)
    model.__class__ = type(base.__name__, (HasValues, base), {"__module__": base.__module__})
    return model


def new_control_ids(facts: Mapping[str, Any]) -> list[int]:
    """Return the ids of control tokens that were added to the tokenizer's own."""
    return [int(i) for i in facts.get("added_control_ids", ())]


def _saved_head(path: str | None) -> Tensor | None:
    """Return the value head in a folder of a saved model, where it has one."""
    from safetensors import safe_open

    for file in sorted(Path(path).glob("*.safetensors")) if path is not None and Path(path).is_dir() else ():
        with safe_open(file, framework="pt") as tensors:
            if HEAD in tensors.keys():  # noqa: SIM118 - no mapping
                found: Tensor = tensors.get_tensor(HEAD)
                return found
    return None


def build(config: CausalWithValuesConfig, context: Context) -> Any:
    """Make the model `phf/causal`. Works on the meta device."""
    ids = new_control_ids(context.facts)

    def make_rows(model: Any) -> None:
        if ids and model.get_input_embeddings().weight.device.type != "meta":
            generator = torch.Generator().manual_seed(context.seed("control tokens") % 2**63)
            set_token_rows(model, ids, min(ids), generator)

    model = build_causal(config, context, make_rows)
    if config.value_head is not None:
        model = add_value_head(model, config.value_head)
        stored = _saved_head(config.path)
        if stored is not None:
            with torch.no_grad():
                model.value_head.weight.copy_(stored)
    return model
