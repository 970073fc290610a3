"""A composition as a model of transformers: `generate`, scoring and evaluation harnesses take it as they take any other."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import Cache, GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from omnitrain.errors import UsageError
from omnitrain_eft.models.caches import new_cache
from omnitrain_eft.models.ensemble import Ensemble
from omnitrain_eft.paper.composition import Dials


class CompositeCache(Cache):  # type: ignore[misc]
    """The caches of all models as one; what is asked of it as a cache is answered by that of the large base."""

    def __init__(self, caches: Sequence[Cache]) -> None:
        super().__init__(layers=caches[0].layers)
        self.caches = list(caches)

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Follow the beams in every model."""
        for cache in self.caches:
            cache.reorder_cache(beam_idx)

    @property
    def is_croppable(self) -> bool:
        """Whether every model's cache can take tokens back."""
        return all(cache.is_croppable for cache in self.caches)

    def activate_past_recording(self) -> None:
        """Let sliding windows keep what `crop` may bring back; assisted generation begins with this.

        Raises UsageError where a cache can't take tokens back at all.
        """
        if not self.is_croppable:
            raise UsageError(
                "a composed model has a cache that can't take tokens back (recurrent layers), so assisted generation would be "
                "wrong: leave out assistant_model"
            )
        for cache in self.caches:
            cache.activate_past_recording()

    def crop(self, tokens_to_remove: int) -> None:
        """Take tokens back in every model."""
        for cache in self.caches:
            cache.crop(tokens_to_remove)

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat the rows of every model."""
        for cache in self.caches:
            cache.batch_repeat_interleave(repeats)

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep some rows of every model."""
        for cache in self.caches:
            cache.batch_select_indices(indices)

    def reset(self) -> None:
        """Empty the cache of every model."""
        for cache in self.caches:
            cache.reset()


class ComposedCausalLM(PreTrainedModel, GenerationMixin):  # type: ignore[misc]
    """Combined logits for all positions, a composite cache; all models read the same prompt."""

    main_input_name = "input_ids"
    _supports_sdpa = True

    def __init__(self, ensemble: Ensemble, dials: Dials) -> None:
        config: Any = copy.deepcopy(ensemble.large.config)
        config.vocab_size = ensemble.vocabulary
        super().__init__(config)
        self.models = torch.nn.ModuleList([ensemble.large, *ensemble.small])
        self.ensemble, self.dials = ensemble, dials
        known = getattr(ensemble.large, "generation_config", None)
        if known is not None:
            self.generation_config = copy.deepcopy(known)
        self.eval()

    def new_cache(self) -> CompositeCache:
        """Return an empty cache of all models."""
        return CompositeCache([new_cache(model.config) for model in self.models])

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: CompositeCache | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
        labels: Tensor | None = None,
        **unused: Any,
    ) -> CausalLMOutputWithPast:
        """Return z [batch, length, vocabulary]; with labels also the mean loss of the shifted tokens that are not -100."""
        cached = use_cache is not False and (use_cache or past_key_values is not None)
        if cached and past_key_values is None:
            past_key_values = self.new_cache()
        caches = past_key_values.caches if past_key_values is not None else [None] * len(self.models)
        logits = [
            model(
                input_ids=input_ids,
                attention_mask=attention_mask,
                position_ids=position_ids,
                past_key_values=cache,
                use_cache=cached,
                logits_to_keep=logits_to_keep,
            ).logits
            for model, cache in zip(self.models, caches, strict=True)
        ]
        z = self.ensemble.combined(logits[0], logits[1:], self.dials)
        loss = None
        if labels is not None:
            loss = functional.cross_entropy(z[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
        return CausalLMOutputWithPast(loss=loss, logits=z, past_key_values=past_key_values)

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """Generate as transformers does, with a cache for every model."""
        if kwargs.get("past_key_values") is None and kwargs.get("use_cache", True):
            kwargs["past_key_values"] = self.new_cache()
        return super().generate(*args, **kwargs)
