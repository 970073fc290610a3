"""Stage `eft/compose`: put models together, check that their vocabularies agree, save them as one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omnitrain.api import Run, UseModel
from omnitrain.engine import isolated, read_component
from omnitrain.errors import DataError, UsageError
from omnitrain_eft.configs.models import CompositionConfig
from omnitrain_eft.configs.stages import ComposeConfig
from omnitrain_eft.models.composition import (
    LARGE,
    LORA,
    SMALL,
    TUNED,
    CompositionModel,
    check_templates,
    member_uses,
    output_rows,
)
from omnitrain_eft.models.memory import plan_lines
from omnitrain_eft.models.predictor import TOKENIZERS
from omnitrain_eft.models.vocabulary import check_vocabularies
from omnitrain_language.tokenizers import load_tokenizer, pad_id

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class Tokenizers:
    """The tokenizers of a composition, to be laid beside its weights: the shared one, and each member's by name."""

    shared: PreTrainedTokenizerFast
    own: Mapping[str, PreTrainedTokenizerFast]

    def save_assets(self, directory: Path) -> None:
        """Write all of them."""
        self.shared.save_pretrained(str(directory))
        for name, tokenizer in self.own.items():
            tokenizer.save_pretrained(str(directory / TOKENIZERS / name))


class Compose:
    """Called as a stage; its ability `PlansStage` shows the memory plan in a dry run."""

    def __call__(self, config: ComposeConfig, run: Run) -> None:
        """Build the composition and leave it as the artifact "model".

        Raises UsageError for another model, DataError for tokenizers that differ.
        """
        composition = _composition(config)
        folders = {name: _folder(use, run) for name, use in member_uses(composition).items()}
        tokenizers = {name: load_tokenizer(folder) for name, folder in folders.items() if folder is not None}
        if composition.tokenizer is None and LARGE not in tokenizers:
            raise DataError("the large base comes with no tokenizer: name one in model.tokenizer")
        shared = tokenizers[LARGE] if composition.tokenizer is None else load_tokenizer(composition.tokenizer)
        ids = check_vocabularies({"the composition": shared, **tokenizers})
        facts = {"vocabulary_size": ids, "pad_id": pad_id(shared), "eos_id": int(shared.eos_token_id)}
        with isolated(run.seed("model")):
            model: CompositionModel = run.build(config.model, facts)
        members = {name: _described(use, model.members[name], run) for name, use in member_uses(composition).items()}
        for name, use in member_uses(composition).items():
            told = facts if use.source is None else read_component(run.input(use).path).get("facts", facts)
            settings = {key: value for key, value in members[name].items() if key != "use"}
            model.described[name] = {"use": members[name]["use"], "config": settings, "facts": told, "data": None}
        run.event("composed", members=", ".join(model.members), shared_ids=ids)
        for name in model.members:
            rows = output_rows(model.members[name])
            if rows > ids:
                run.event("extra rows cut", member=name, rows=rows - ids, kept=ids)
        described = {"use": config.model.use, "config": _stored(composition, members)}
        run.save_model(model, described, facts=facts, assets=Tokenizers(shared, tokenizers))

    def plan(self, config: ComposeConfig, run: Run) -> Sequence[str]:
        """Return the memory plan of members that name their architecture.

        Raises UsageError for another model and for templates without a place for the prompt.
        """
        composition = _composition(config)
        check_templates(composition)
        return plan_lines(composition)


compose = Compose()


def _composition(config: ComposeConfig) -> CompositionConfig:
    if config.model.use is None or not isinstance(config.model.config, CompositionConfig):
        raise UsageError("model: eft/compose makes compositions; write {use: eft/composition, large: ..., experts: ...}")
    return config.model.config


def _folder(use: UseModel, run: Run) -> Path | str | None:
    """Return where a member's tokenizer lies: with its weights."""
    return run.input(use).path if use.source is not None else getattr(use.config, "path", None)


def _described(use: UseModel, member: Any, run: Run) -> dict[str, Any]:
    """Return a member's component and settings; one with weights of its own gets its number of rows."""
    found = run.describe_model(use)
    config = dict(found["config"])
    if config.get("path", "") is None and "vocabulary_size" in config:
        config["vocabulary_size"] = int(member.config.vocab_size)
    return {"use": found["use"], **config}


def _stored(config: CompositionConfig, members: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the settings by which the composition is built again: members by component instead of by stage."""
    held = {"large", "small", "experts", "large_tuned", "large_lora"}
    experts = []
    for number, expert in enumerate(config.experts):
        plain = expert.model_dump(mode="json", exclude={"model", "base"})
        experts.append({**plain, "model": members[f"expert-{number}"], "base": members.get(f"base-{number}")})
    return {
        **config.model_dump(mode="json", exclude=held),
        "large": members[LARGE],
        "small": members.get(SMALL),
        "experts": experts,
        "large_tuned": members.get(TUNED),
        "large_lora": members.get(LORA),
        "tokenizer": None,
    }
