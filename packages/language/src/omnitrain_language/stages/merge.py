"""Stage `language/merge`: a model with adapters as one without, which all else takes as it takes any model."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from omnitrain.api import Run, user_path
from omnitrain.engine import companions, isolated, read_component
from omnitrain.errors import DataError, UsageError
from omnitrain_language.configs.stages import MergeConfig
from omnitrain_language.switching import adapter_layers


@dataclass(frozen=True)
class _Beside:
    """What lies beside a saved model's weights (its tokenizer), to be laid beside the merged ones."""

    folder: Path

    def save_assets(self, directory: Path) -> None:
        """Copy it."""
        for path in companions(self.folder):
            shutil.copy2(path, directory / path.name)


class Merge:
    """Called as a stage; its ability `PlansStage` looks before the run for the folder of `path`, and for adapters."""

    def __call__(self, config: MergeConfig, run: Run) -> None:
        """Leave the model without adapters as the artifact "model"; one that has none goes on as it is, and that is told.

        Raises UsageError for adapters that can't be merged, DataError for a `path` without a saved model.
        """
        with isolated(run.seed("model")):
            if config.model is not None:
                folder, described = run.input(config.model).path, run.describe_model(config.model)
                model = run.build(config.model)
            else:
                folder = _folder(config)
                described = read_component(folder)
                model = run.load(folder)
        merged = _without_adapters(model, run)
        facts: Mapping[str, Any] = read_component(folder).get("facts", {})
        without = {"lora": None} if "lora" in described["config"] else {}
        component = {"use": described["use"], "config": {**described["config"], **without}}
        data = None if config.model is None else run.model_data(config.model)
        run.save_model(merged, component, data=data, facts=facts, assets=_Beside(folder))

    def plan(self, config: MergeConfig, run: Run) -> Sequence[str]:
        """Say when the model has no adapters, as far as its settings tell. Raises DataError for a `path` without a saved
        model.
        """
        if config.model is None:
            described, where = read_component(_folder(config)), str(config.path)
        else:
            described, where = run.describe_model(config.model), f"of stage {config.model.source}"
        if "lora" not in described["config"] or described["config"]["lora"] is not None:
            return ()
        what = f"the model {where} has no adapters and is left as it is"
        return (f"nothing to merge: {what}; set lora on it, or leave this stage out",)


merge = Merge()


def _folder(config: MergeConfig) -> Path:
    folder = user_path(str(config.path))
    if not (folder / "component.json").is_file():
        raise DataError(
            f"path: {folder} holds no model that a run saved (there is no component.json); name the folder of its artifact "
            "model. Adapters that were trained elsewhere are merged by merge_and_unload of peft"
        )
    return folder


def _without_adapters(model: Any, run: Run) -> Any:
    """Return a model without adapters, and tell what was merged. Raises UsageError for adapters that can't be merged."""
    layers = adapter_layers(model)
    if not layers:
        run.event("nothing to merge", note="the model has no adapters and is left as it is")
        return model
    if not hasattr(model, "merge_and_unload"):
        raise UsageError(
            f"{type(model).__name__} has adapters that language/merge can't write into its weights: it lacks merge_and_unload"
        )
    dtypes = {parameter.dtype for parameter in model.parameters() if not parameter.requires_grad}
    rounded = dtypes & {torch.bfloat16, torch.float16}
    note = "the sum is rounded to the weights' type; dtype: float32 beside 'from' keeps it whole" if rounded else ""
    run.event("merged", layers=len(layers), **({"note": note} if note else {}))
    return model.merge_and_unload()
