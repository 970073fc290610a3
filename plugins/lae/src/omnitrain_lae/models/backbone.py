"""Any model as a source of features: its trunk, what it reads from a batch, and how its output becomes one vector."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from omnitrain.errors import UsageError

Pooling = Literal["auto", "cls", "mean", "mean-without-last", "last", "pooler"]
LABELS = "labels"


class Backbone:
    """A model that gives features float[batch, width].

    model: one of transformers (its trunk is used, not its head), one with a method features(batch), or, with
    `feature_module`, any model: the input of that submodule is the feature (the input of a final classifier).
    Raises UsageError for a model that is none of these.
    """

    def __init__(self, model: nn.Module, pooling: Pooling = "auto", feature_module: str | None = None) -> None:
        self.model, self._pooling, self._feature_module = model, pooling, feature_module
        self.trunk = _trunk(model)
        if feature_module is not None:
            _submodule(model, feature_module)
            self.trunk = model
        elif self.trunk is None:
            raise UsageError(
                f"{type(model).__name__} gives no features: it is not of transformers and has no method features(batch). "
                "Name the module whose input is the feature with feature_module."
            )
        self._accepted = _accepted(self.trunk) if not self._own else None

    @property
    def _own(self) -> bool:
        return self._feature_module is None and hasattr(self.model, "features")

    def inputs(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the trunk's forward takes of a batch."""
        if self._accepted is None:
            return {name: value for name, value in batch.items() if name != LABELS}
        return {name: batch[name] for name in self._accepted if name in batch and name != LABELS}

    def features(self, batch: Mapping[str, Any]) -> Tensor:
        """Return features float[batch, width]."""
        if self._own:
            found: Tensor = self.model.features(self.inputs(batch))  # type: ignore[operator]
            return found
        if self._feature_module is not None:
            return self._input_of(self._feature_module, batch)
        return self.pooled(self.output(batch), batch)

    def output(self, batch: Mapping[str, Any]) -> Any:
        """Return what the trunk of a model of transformers returns."""
        assert self.trunk is not None
        return self.trunk(**self.inputs(batch))

    def pooled(self, output: Any, batch: Mapping[str, Any]) -> Tensor:
        """Return one vector an example from the trunk's output."""
        tokens: Tensor = output.last_hidden_state
        kind = self.pooling(output)
        if kind == "pooler":
            return cast(Tensor, output.pooler_output)
        if kind == "cls":
            return tokens[:, 0]
        if kind == "mean-without-last":
            return tokens[:, :-1].mean(dim=1)
        mask: Tensor | None = batch.get("attention_mask")
        if kind == "mean":
            return tokens.mean(dim=1) if mask is None else _masked_mean(tokens, mask)
        if mask is None:
            return tokens[:, -1]
        last = mask.long().sum(dim=1).clamp(min=1) - 1
        last = last.repeat(len(tokens) // len(last))  # several experts on parts of one batch
        return tokens[torch.arange(len(tokens), device=tokens.device), last]

    def pooling(self, output: Any) -> str:
        """Return the way of pooling; "auto" looks at the model: maps and windows have no class token, decoders end last."""
        if self._pooling != "auto":
            return self._pooling
        kind = str(cast(Any, self.trunk).config.model_type)
        if output.last_hidden_state.ndim == 4:
            return "pooler"
        if "swin" in kind:
            return "mean"
        return "cls" if kind in CLASS_TOKEN else "last" if _is_decoder(self.trunk) else "mean"

    def _input_of(self, name: str, batch: Mapping[str, Any]) -> Tensor:
        caught: list[Tensor] = []
        hook = _submodule(self.model, name).register_forward_pre_hook(lambda module, args: caught.append(args[0]))
        try:
            self.model(**self.inputs(batch))
        finally:
            hook.remove()
        return caught[-1].flatten(1)


CLASS_TOKEN = ("vit", "deit", "beit", "dinov2", "bert", "roberta", "distilbert", "electra", "clip_vision_model", "vit_mae")


def _trunk(model: nn.Module) -> nn.Module | None:
    from transformers import PreTrainedModel

    if not isinstance(model, PreTrainedModel):
        return model if hasattr(model, "features") else None
    if model.config.is_encoder_decoder:
        return cast(nn.Module, model.get_encoder())
    return cast(nn.Module, model.base_model)


def _is_decoder(trunk: nn.Module | None) -> bool:
    return any(getattr(module, "is_causal", False) is True for module in trunk.modules()) if trunk is not None else False


def _accepted(trunk: nn.Module | None) -> tuple[str, ...] | None:
    parameters = inspect.signature(trunk.forward).parameters if trunk is not None else {}
    named = tuple(n for n, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
    return named or None


def _submodule(model: nn.Module, name: str) -> nn.Module:
    try:
        return model.get_submodule(name)
    except AttributeError as error:
        known = ", ".join(n for n, _ in list(model.named_children())[:8])
        raise UsageError(f"feature_module: {type(model).__name__} has no module {name!r}; its parts are {known}.") from error


def _masked_mean(tokens: Tensor, mask: Tensor) -> Tensor:
    weights = mask.repeat(len(tokens) // len(mask), 1)[..., None].to(tokens.dtype)
    return (tokens * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


@contextmanager
def repeated_from(blocks: list[nn.Module], times: int) -> Iterator[None]:
    """Inside, what comes to the first of these blocks is repeated `times` times along the batch, once for each expert.

    What lies before the first block is computed once. Tensors that go to the later blocks beside the hidden states (masks)
    are repeated where they have the rows of the original batch.
    """
    rows: list[int] = []

    def grow(value: Any) -> Any:
        if isinstance(value, Tensor) and value.ndim and value.shape[0] == rows[-1]:
            return value.repeat(times, *[1] * (value.ndim - 1))
        if isinstance(value, tuple):
            return tuple(grow(part) for part in value)
        return value

    def first(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        hidden = args[0] if args else kwargs["hidden_states"]
        rows.append(hidden.shape[0])
        return tuple(grow(a) for a in args), {k: grow(v) for k, v in kwargs.items()}

    def later(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        name = None if args else "hidden_states"  # already grown: it comes from the block before
        return (
            tuple(a if i == 0 else grow(a) for i, a in enumerate(args)),
            {k: v if k == name else grow(v) for k, v in kwargs.items()},
        )

    hooks = [blocks[0].register_forward_pre_hook(first, with_kwargs=True, prepend=True)]
    hooks += [block.register_forward_pre_hook(later, with_kwargs=True, prepend=True) for block in blocks[1:]]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
