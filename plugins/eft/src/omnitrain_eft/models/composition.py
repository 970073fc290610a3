"""Model `eft/composition`: language models of two sizes as one, with dials."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from transformers.modeling_outputs import CausalLMOutputWithPast

from omnitrain.api import Context, UseModel
from omnitrain.engine import save_model, write_json
from omnitrain.errors import DataError, UsageError
from omnitrain_eft.configs.models import CompositionConfig
from omnitrain_eft.models.ensemble import Ensemble, WithoutAdapters
from omnitrain_eft.models.vocabulary import check_rows
from omnitrain_eft.paper.composition import Dials
from omnitrain_language.dialogues.templates import check_template
from omnitrain_language.loading import Origin, check_origin
from omnitrain_language.switching import has_adapters

LARGE, SMALL, TUNED, LORA = "large", "small", "large-tuned", "large-lora"
MEMBERS = "members"
WEIGHTS = "member_weights.json"


def member_uses(config: CompositionConfig) -> dict[str, UseModel]:
    """Return the model fields of a composition by the names of its members."""
    found: dict[str, UseModel | None] = {LARGE: config.large, SMALL: config.small}
    for number, expert in enumerate(config.experts):
        found[f"expert-{number}"] = expert.model
        found[f"base-{number}"] = expert.base
    found |= {TUNED: config.large_tuned, LORA: config.large_lora}
    return {name: use for name, use in found.items() if use is not None}


def check_templates(config: CompositionConfig) -> None:
    """Refuse templates without a place for the prompt. Raises UsageError."""
    check_template(config.large_template, "large_template")
    check_template(config.small_template, "small_template")
    for number, expert in enumerate(config.experts):
        check_template(expert.template, f"experts.{number}.template")
        if expert.base_template is not None:
            check_template(expert.base_template, f"experts.{number}.base_template")


class CompositionModel(nn.Module):
    """All models of a composition. Nothing in it is trained; calling it gives combined logits of all positions.

    members: by name. kept_elsewhere: names of members whose weights a path of the config holds, so they aren't saved.
    """

    def __init__(
        self,
        config: CompositionConfig,
        members: Mapping[str, Any],
        facts: Mapping[str, Any],
        kept_elsewhere: Sequence[str] = (),
    ) -> None:
        super().__init__()
        check_templates(config)
        self.settings = config
        self.members = nn.ModuleDict(dict(members))
        self.requires_grad_(False)
        self.eval()
        self.kept_elsewhere = tuple(kept_elsewhere)
        # What each saved member says of itself; `eft/compose` fills in the stages that they come from.
        self.described = {
            name: {"use": use.use, "config": dict(use.raw), "facts": dict(facts), "data": None}
            for name, use in member_uses(config).items()
        }
        self.pad = int(facts.get("pad_id", 0))
        self.ids = int(facts.get("vocabulary_size", 0))
        self.config: Any = copy.deepcopy(self.members[LARGE].config)
        self._views: dict[str, WithoutAdapters] = {}
        self.ensemble()

    @property
    def dials(self) -> Dials:
        """The dials as the config has them."""
        config = self.settings
        weights = tuple(expert.weight for expert in config.experts)
        return Dials(config.alpha, config.beta_up, weights, config.delta_top_p, config.base_floor)

    def turned(
        self,
        alpha: float | None = None,
        beta_up: float | None = None,
        weights: Sequence[float] | None = None,
        delta_top_p: float | None = None,
    ) -> Dials:
        """Return the config's dials with some of them at another value."""
        own = self.dials
        return Dials(
            own.alpha if alpha is None else alpha,
            own.beta_up if beta_up is None else beta_up,
            own.weights if weights is None else tuple(weights),
            own.delta_top_p if delta_top_p is None else delta_top_p,
            own.base_floor,
        )

    def member(self, name: str) -> Any:
        """Return a member, None where the composition lacks it."""
        return self.members[name] if name in self.members else None  # noqa: SIM401 - a ModuleDict has no get

    def without_adapters(self, name: str) -> Any:
        """Return a member with its LoRA adapters switched off.

        Raises UsageError where it has none.
        """
        member = self.members[name]
        if not has_adapters(member):
            raise UsageError(
                f"{name} stands without its base: it has no LoRA adapters that could be switched off, so name the model that "
                "it was tuned from in `small`, or in the expert's `base`"
            )
        return self._views.setdefault(name, WithoutAdapters(member))

    def ensemble(self) -> Ensemble:
        """Return the members as decoding takes them.

        Raises UsageError for an expert without its base, DataError for a model with too few rows.
        """
        small: list[Any] = []
        names: list[str] = []

        def place(model: Any, name: str) -> int:
            for number, known in enumerate(small):
                if known is model:
                    return number
            small.append(model)
            names.append(name)
            return len(small) - 1

        experts = [place(self.members[f"expert-{n}"], f"expert {n}") for n in range(len(self.settings.experts))]
        shared = self.member(SMALL)
        bases = []
        for number in range(len(experts)):
            name = f"base-{number}"
            if name in self.members:
                bases.append(place(self.members[name], f"the base of expert {number}"))
            elif shared is not None:
                bases.append(place(shared, "the small base"))
            else:
                bases.append(place(self.without_adapters(f"expert-{number}"), f"expert {number} without adapters"))
        delta_base = bases[0] if shared is None else place(shared, "the small base")
        given = {"the large base": self.members[LARGE], **dict(zip(names, small, strict=True))}
        vocabulary = check_rows({name: output_rows(model) for name, model in given.items()}, self.ids)
        return Ensemble(self.members[LARGE], small, experts, bases, delta_base, self.pad, vocabulary, names)

    def forward(self, input_ids: Tensor, use_cache: bool = False, **inputs: Any) -> CausalLMOutputWithPast:
        """Return z [batch, length, vocabulary] of all positions, all models reading the same ids, one pass each."""
        ensemble = self.ensemble()
        large = ensemble.large(input_ids=input_ids, use_cache=False, **inputs).logits
        small = [model(input_ids=input_ids, use_cache=False, **inputs).logits for model in ensemble.small]
        return CausalLMOutputWithPast(logits=ensemble.combined(large, small, self.dials))

    def save(self, directory: Path) -> None:
        """Write every member into a folder of its own; of those that a path of the config holds, what tells their weights."""
        for name, member in self.members.items():
            if name not in self.kept_elsewhere:
                save_model(member, directory / MEMBERS / name, self.described[name])
        if self.kept_elsewhere:
            write_json(directory / WEIGHTS, {name: self.member(name).origin.weights() for name in self.kept_elsewhere})

    def restore(self, directory: Path) -> None:
        """Look whether what was loaded from paths while the composition was built is what it was when `save` was called.

        Other members were loaded from the folders that `save` wrote. Raises DataError.
        """
        file = directory / WEIGHTS
        if self.kept_elsewhere and not file.is_file():
            raise DataError(
                f"{directory} does not say which weights its members have ({WEIGHTS} is missing); compose them again"
            )
        stored = json.loads(file.read_text("utf-8")) if self.kept_elsewhere else {}
        for name in self.kept_elsewhere:
            origin: Origin = self.member(name).origin
            check_origin(stored.get(name, {}), origin, f"the member {name} of the composition in {directory} had", file)


def output_rows(model: Any) -> int:
    """Return the number of ids that a model gives logits for."""
    if isinstance(model, WithoutAdapters):
        return output_rows(model.adapted)
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    return int(head.weight.shape[0] if head is not None else model.config.vocab_size)


def _path_of(use: UseModel) -> Any:
    return None if use.source is not None else getattr(use.config, "path", None)


def build(config: CompositionConfig, context: Context) -> CompositionModel:
    """Make the model `eft/composition`."""
    uses = member_uses(config)
    saved = {} if context.saved is None else {n: f for n in uses if (f := context.saved / MEMBERS / n).is_dir()}
    elsewhere = [n for n, use in uses.items() if _path_of(use) is not None and n not in saved]
    # Without facts: a loaded model that has fewer rows than the tokenizer would grow by random ones instead of being refused.
    members = {
        name: context.load(saved[name]) if name in saved else context.build(use, {} if name in elsewhere else None)
        for name, use in uses.items()
    }
    # What doesn't tell its weights could be changed unnoticed, and is saved.
    told = [name for name in elsewhere if getattr(members[name], "origin", None) is not None]
    return CompositionModel(config, members, context.facts, told)
