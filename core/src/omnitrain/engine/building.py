"""Build what a config field holds: a component, or a product of an earlier stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omnitrain.api.config import Config, Use, UseEvaluator
from omnitrain.api.data import Data
from omnitrain.api.protocols import FitsData
from omnitrain.api.results import Evaluation
from omnitrain.api.run import Opened
from omnitrain.errors import EnvironmentFault, NotMadeYet, UsageError
from omnitrain.plugins import Registry
from omnitrain.recipes import ResolvedRecipe, Stage, plain, resolve_component, uses
from omnitrain.recipes.sources import stage_data
from omnitrain.runs import RunDirectory, StageRun, StoredArtifact, with_facts


class ComponentBuilder:
    """Builds components for the stages of one run."""

    def __init__(self, registry: Registry, folder: RunDirectory, recipe: ResolvedRecipe) -> None:
        self._registry, self._folder, self._recipe = registry, folder, recipe

    def __call__(self, run: StageRun, use: Use, facts: Mapping[str, Any]) -> Any:
        """Build what `use` holds, in the context of a stage."""
        if use.source is None:
            assert use.use is not None
            return self._build(use.use, use.kind, use.config, with_facts(run, facts))
        if use.kind == "model":
            return self._model(run, use, facts)
        if use.kind == "data":
            return self._data(run, use)
        raise UsageError(f"'from: {use.source}' stands for a model or data, not for {use.kind}; write 'use: plugin/name'.")

    def _build(self, address: str, kind: str, config: Config, run: StageRun) -> Any:
        return self._registry.builder(self._registry.component(address, kind))(config, run)

    def _artifact(self, use: Use) -> StoredArtifact:
        return self._folder.artifact(str(use.stage), str(use.artifact))

    def describe_model(self, use: Use) -> dict[str, Any]:
        """Return {"use", "config"} of a model field, through `from` to the component that made the model.

        Models of earlier stages inside it are described, too, so that what is saved can be built where these stages are not.
        """
        if use.source is None:
            config = plain(use.config)
            for path, inner in uses(use.config):
                if inner.kind == "model" and inner.source is not None:
                    found = self.describe_model(inner)
                    _put(config, path, {"use": found["use"], **found["config"]})
            return {"use": use.use, "config": config}
        from omnitrain.engine.models import read_component

        stored = read_component(self._artifact(use).path)
        return {"use": stored["use"], "config": {**stored["config"], **use.raw}}

    def describe_data(self, use: Use) -> dict[str, Any] | None:
        """Return {"use", "config"} of a data field, through `from` to the field of the stage that it names."""
        if use.source is None:
            return {"use": use.use, "config": plain(use.config)}
        original = self._stage_data(str(use.stage))
        described = None if original is None else self.describe_data(original)
        return None if described is None else {"use": described["use"], "config": {**described["config"], **use.raw}}

    def predictor(self, run: StageRun, model: Any, address: str, directory: Path) -> Any:
        """Wrap a model for evaluators; see `make_predictor`."""
        from omnitrain.engine.opening import make_predictor

        return make_predictor(model, address, directory, run, self._registry)

    def open(self, run: StageRun, use: Use, device: str, data: Data | None, facts: Mapping[str, Any]) -> Opened:
        """Make a model ready to be measured."""
        from omnitrain.engine.opening import open_use

        return open_use(use, run, device, data, facts)

    def write_model(self, model: Any, directory: Path, component: Mapping[str, Any], assets: Any) -> None:
        """Write a model and the files that belong to it."""
        from omnitrain.engine.opening import write_model

        write_model(model, directory, component, assets)

    def evaluate(
        self, run: StageRun, evaluators: Sequence[UseEvaluator], opened: Opened, data: Data | None, report: bool
    ) -> dict[str, Evaluation]:
        """Measure a model."""
        from omnitrain.engine.evaluate import measure

        return measure(evaluators, opened, data, run, report)

    def _model(self, run: StageRun, use: Use, facts: Mapping[str, Any]) -> Any:
        from omnitrain.engine.opening import load_saved_model

        model = load_saved_model(self._artifact(use).path, run, self._registry, use.raw)
        if facts and isinstance(model, FitsData):
            model.fit_data(with_facts(run, facts), grow=True)
        return model

    def load(self, run: StageRun, folder: Path) -> Any:
        """Build the model that a folder holds, with its weights."""
        from omnitrain.engine.opening import load_saved_model

        return load_saved_model(folder, run, self._registry)

    def stage_model_source(self, stage: Stage) -> str | None:
        """Return where the model of a stage's field `model` comes from: a folder or a name on the hub, None for a new one."""
        use = getattr(stage.config, "model", None)
        if not isinstance(use, Use):
            return None
        if use.source is not None:
            record = self._folder.stage_record(str(use.stage))
            made = record is not None and use.artifact in record.artifacts
            return str(self._artifact(use).path) if made else None
        path = getattr(use.config, "path", None)
        return path if isinstance(path, str) else None

    def model_data(self, use: Use) -> Use | None:
        """Return the data field of the stage that a model is from, or None."""
        return None if use.source is None else self._stage_data(str(use.stage))

    def _stage_data(self, name: str) -> Use | None:
        return stage_data(name, lambda stage: self._recipe.stage(stage).config)

    def _data(self, run: StageRun, use: Use) -> Any:
        stage, wanted = str(use.stage), str(use.artifact)
        record = self._folder.stage_record(stage)
        if record is not None and wanted in record.artifacts:
            artifact = self._folder.artifact(stage, wanted)
            details = artifact.details
            if "use" not in details:
                raise EnvironmentFault(
                    f"The artifact {wanted!r} of stage {stage!r} does not say which data component reads it."
                )
            settings = {**details.get("config", {}), "path": str(artifact.path), **use.raw}
            config = resolve_component(details["use"], "data", settings, self._registry, f"artifact {wanted} of stage {stage}")
            return self._build(details["use"], "data", config, run)
        described = self.describe_data(use)
        if described is None and record is None:
            raise NotMadeYet(f"Stage {stage!r} has not run yet, so what it leaves is not there.")
        if described is None:
            raise UsageError(f"Stage {stage!r} has no data to take with 'from: {stage}'.")
        config = resolve_component(described["use"], "data", described["config"], self._registry, f"data of stage {stage}")
        return self._build(described["use"], "data", config, run)


def _put(config: dict[str, Any], path: Sequence[int | str], value: Any) -> None:
    *outer, last = path
    place: Any = config
    for key in outer:
        place = place[key]
    place[last] = value
