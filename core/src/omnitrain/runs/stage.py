"""What a stage sees of its run: a folder, logs, artifacts, seeds, progress and the request to stop."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from omnitrain.api.config import Use, UseArtifact, UseEvaluator
from omnitrain.api.data import Data
from omnitrain.api.finished import EVALUATIONS
from omnitrain.api.protocols import Prepares, TellsFacts
from omnitrain.api.results import Evaluation
from omnitrain.api.run import Opened, Run
from omnitrain.errors import PluginError, UsageError
from omnitrain.runs.directory import RunDirectory, StoredArtifact
from omnitrain.runs.evaluations import write_evaluation
from omnitrain.runs.files import absolute_paths, inside, remove, whole
from omnitrain.runs.ledger import Ledger
from omnitrain.runs.lines import RESUMED, StageLines
from omnitrain.runs.measured import checked, plain_values
from omnitrain.runs.notes import DataNotes
from omnitrain.runs.progress import Bar, Display
from omnitrain.runs.seeds import derive
from omnitrain.runs.stopping import StopRequest
from omnitrain.runs.trackers import Trackers
from omnitrain.runs.warned import WARNING, warnings_to


class Builder(Protocol):
    """What builds components and handles models for stages; see omnitrain.engine.building."""

    def __call__(self, run: StageRun, use: Use, facts: Mapping[str, Any]) -> Any: ...

    def load(self, run: StageRun, folder: Path) -> Any: ...

    def describe_model(self, use: Use) -> dict[str, Any]: ...

    def describe_data(self, use: Use) -> dict[str, Any] | None: ...

    def model_data(self, use: Use) -> Use | None: ...

    def predictor(self, run: StageRun, model: Any, address: str, directory: Path) -> Any: ...

    def open(self, run: StageRun, use: Use, device: str, data: Data | None, facts: Mapping[str, Any]) -> Opened: ...

    def write_model(self, model: Any, directory: Path, component: Mapping[str, Any], assets: Any) -> None: ...

    def evaluate(
        self, run: StageRun, evaluators: Sequence[UseEvaluator], opened: Opened, data: Data | None, report: bool
    ) -> dict[str, Evaluation]: ...


class StageRun:
    """The `Run` of one stage; see omnitrain.api.Run for what its methods promise.

    The engine uses it as a context manager, which closes what is open at the end of the stage; until then warnings
    that any code logs are its events.
    """

    def __init__(
        self,
        name: str,
        folder: RunDirectory,
        seed: int,
        workspace: Path,
        builder: Builder,
        stop: StopRequest,
        display: Display,
        identity: str = "",
        facts: Mapping[str, Any] | None = None,
        trackers: Trackers | None = None,
        lines: StageLines | None = None,
        notes: DataNotes | None = None,
    ) -> None:
        self.name = name
        self.directory = folder.stage_folder(name)
        self.workspace = workspace
        self.identity = identity
        self.facts: Mapping[str, Any] = facts or {}
        self.saved: Path | None = None
        self.model_source: str | None = None
        self._folder = folder
        self._seed = seed
        self._builder = builder
        self._stop = stop
        self._display = display
        self._trackers = trackers
        self._attempt = lines or StageLines(folder, name)
        self._notes = notes
        self._ledgers: dict[Path, Ledger] = {}
        self._open = ExitStack()

    def __enter__(self) -> StageRun:
        self._open.enter_context(warnings_to(lambda text: self.event(WARNING, note=text)))
        return self

    def __exit__(self, *problem: object) -> None:
        self._open.close()
        if self._trackers is not None:
            self._trackers.close(self._tracker_failed)
        for ledger in self._ledgers.values():
            ledger.close()
        self._ledgers.clear()

    def seed(self, name: str) -> int:
        """Return the seed of a named stream of this stage."""
        return derive(self._seed, self.name, name)

    def build(self, use: Use, facts: Mapping[str, Any] | None = None) -> Any:
        """Build what a config field holds. facts: replaces the context's facts for it."""
        built = self._builder(self, use, self.facts if facts is None else facts)
        if self._notes is not None and use.kind == "data" and not self._is_product(use):
            self._notes.note(use, built)
        return built

    def _is_product(self, use: Use) -> bool:
        """Whether a field takes what an earlier stage left, whose identity is that stage's."""
        record = None if use.stage is None else self._folder.stage_record(use.stage)
        return record is not None and use.artifact in record.artifacts

    def load(self, folder: Path) -> Any:
        """Build the model that a folder holds, with its weights."""
        return self._builder.load(self, folder)

    def describe_model(self, use: Use) -> dict[str, Any]:
        """Return {"use", "config"} of what a model field stands for, also through `from`."""
        return self._builder.describe_model(use)

    def describe_data(self, use: Use) -> dict[str, Any] | None:
        """Return {"use", "config"} of what a data field stands for, or None for a product that is only a path."""
        return self._builder.describe_data(use)

    def model_data(self, use: Use) -> Use | None:
        """Return the data field of the stage that a model is from, or None."""
        return self._builder.model_data(use)

    def predictor(self, model: Any, address: str, directory: Path) -> Any:
        """Wrap a model for evaluators as its component asks. directory: the saved model or the data's assets."""
        return self._builder.predictor(self, model, address, directory)

    def data(self, use: Use) -> tuple[Data, dict[str, Any]]:
        """Build data, do its slow work, return it with its facts."""
        data: Data = self.build(use)
        if isinstance(data, Prepares):
            data.prepare(self.workspace, self)
        return data, dict(data.facts()) if isinstance(data, TellsFacts) else {}

    def open(
        self, use: Use, *, device: str = "auto", data: Data | None = None, facts: Mapping[str, Any] | None = None
    ) -> Opened:
        """Make a model ready to be measured."""
        return self._builder.open(self, use, device, data, self.facts if facts is None else facts)

    def evaluate(
        self, evaluators: Sequence[UseEvaluator], opened: Opened, data: Data | None = None, *, report: bool = True
    ) -> dict[str, Evaluation]:
        """Measure a model; return what the evaluators find by label."""
        return self._builder.evaluate(self, evaluators, opened, data, report)

    def save_model(
        self,
        model: Any,
        component: Use | Mapping[str, Any],
        *,
        name: str = "model",
        data: Use | None = None,
        facts: Mapping[str, Any] | None = None,
        assets: Any = None,
        **details: Any,
    ) -> None:
        """Leave a model as an artifact; only the first of several processes writes it."""
        if not self._folder.writes:
            return
        described = self.describe_model(component) if isinstance(component, Use) else dict(component)
        told = dict(self.facts if facts is None else facts)
        trained_on = None if data is None else absolute_paths(self.describe_data(data))
        described = absolute_paths(described)
        with self.artifact(name, "model", **described, **details) as path:
            self._builder.write_model(model, path, {**described, "facts": told, "data": trained_on}, assets)

    def part(self, name: str) -> Run:
        """Return a run inside this one, "stage/name"."""
        other = copy.copy(self)
        other.name = f"{self.name}/{name}"
        other.directory = self.directory / name
        if self._folder.writes:
            other.directory.mkdir(parents=True, exist_ok=True)
        return other

    def progress(self, label: str, total: float | None = None) -> AbstractContextManager[Bar]:
        """Show progress while the block runs; its `advance` raises Stopped on request."""
        return self._display.bar(f"{self.name}: {label}", total)

    def log(self, step: int, values: Mapping[str, float], split: str = "train") -> None:
        """Append metrics of a step."""
        values = plain_values(f"Stage {self.name}", values)
        self._attempt.logs(self.name)
        self._folder.metrics.append(self.name, step=step, split=split, **values)
        if self._trackers is not None and self._folder.writes:
            self._trackers.log(self.name, step, values, split, self._tracker_failed)

    def _tracker_failed(self, name: str, error: Exception) -> None:
        self.event("tracker failed", tracker=name, fault=f"{type(error).__name__}: {error}")

    def timing(self, step: int, values: Mapping[str, float]) -> None:
        """Append rates and seconds of a step."""
        self._attempt.logs(self.name)
        self._folder.timing.append(self.name, step=step, **plain_values(f"Stage {self.name}", values))

    def event(self, name: str, **details: Any) -> None:
        """Append an event and show it."""
        if not self._folder.writes:
            return
        if name == RESUMED:
            self._attempt.resumed(self.name, details.get("step"))
        self._folder.events.append(self.name, event=name, **details)
        shown = ", ".join(f"{k} {v}" for k, v in details.items())
        self._display.say(f"{self.name}: {name}{': ' + shown if shown else ''}")

    def say(self, text: str) -> None:
        """Show a note without keeping it."""
        self._display.say(f"{self.name}: {text}")

    @contextmanager
    def artifact(self, name: str, kind: str, *, folder: bool = False, **details: Any) -> Iterator[Path]:
        """Yield a temporary path; on success it becomes <stage>/<name> and is recorded with kind and details."""
        if not self._folder.writes:
            raise RuntimeError("only the first of several processes makes artifacts")
        self._folder.check_there()
        target = self.directory / name
        with whole(target) as temporary:
            if folder:
                temporary.mkdir()
            yield temporary
        self._folder.add_artifact(self.name, name, target, kind, details)

    def ledger(self, name: str) -> Ledger:
        """Return the list of finished items of that name."""
        place = inside(self.directory, name)
        if place not in self._ledgers:
            self._ledgers[place] = Ledger(
                place,
                self.identity,
                writes=self._folder.writes,
                warn=lambda text: self.event("ledger", note=text),
                progress=self.progress,
                check=self.stop_if_asked,
            )
        return self._ledgers[place]

    def input(self, stage: str | Use, name: str = "model") -> StoredArtifact:
        """Return an artifact of an earlier stage."""
        if isinstance(stage, str):
            return self._folder.artifact(stage, name)
        if stage.stage is None or stage.artifact is None:
            raise UsageError(f"{stage.use} is not from a stage; write {{from: stage}}.")
        found = self._folder.artifact(stage.stage, stage.artifact)
        wanted = stage.artifact_kind if isinstance(stage, UseArtifact) else ""
        if wanted not in ("", found.kind):
            raise UsageError(f"from: {stage.source}: a {wanted} is taken here, and that is a {found.kind}.")
        return found

    def report(self, name: str, evaluation: Evaluation, step: int | None = None) -> None:
        """Store an evaluation: a JSON file for the report, images and films as files, metrics as lines."""
        evaluation = checked(name, evaluation)
        if not self._folder.writes:
            return
        self._folder.check_there()
        try:
            write_evaluation(self.directory / EVALUATIONS, name, step, evaluation)
        except (TypeError, ValueError, AttributeError) as error:
            raise PluginError(f"What the evaluator {name} found can't be stored: {error}.") from error
        self.log(step or 0, {k: m.value for k, m in evaluation.metrics.items()}, split=name)

    def should_stop(self) -> bool:
        """True once the run was asked to stop."""
        return self._stop.reason is not None

    def stop_if_asked(self) -> None:
        """Raise Stopped once the run was asked to stop."""
        self._stop.raise_if_asked()

    def line_counts(self) -> tuple[int, int]:
        """Return how many lines of metrics and timing this stage has, for a checkpoint."""
        return self._attempt.counted(self.name)

    def sync_records(self) -> None:
        """Force the metrics to disk."""
        self._folder.metrics.sync()

    def rewind(self, metric_lines: int, timing_lines: int) -> None:
        """Cut this stage's lines back to what a checkpoint had written."""
        self._attempt.rewind(self.name, metric_lines, timing_lines)

    def discard(self, name: str) -> None:
        """Remove a file, a folder or a ledger of this stage."""
        place = inside(self.directory, name)
        ledger = self._ledgers.pop(place, None)
        if ledger is not None:
            ledger.close()
        if self._folder.writes:
            remove(place)


def with_facts(run: StageRun, facts: Mapping[str, Any]) -> StageRun:
    """Return the same run with other facts, to be the context of a component."""
    other = copy.copy(run)
    other.facts = facts
    return other


def with_saved(run: StageRun, folder: Path | None) -> StageRun:
    """Return the same run as the context of a model that is built again from a folder."""
    other = copy.copy(run)
    other.saved = folder
    return other


def with_model_source(run: StageRun, source: str | None) -> StageRun:
    """Return the same run as the context of data for a model from there."""
    other = copy.copy(run)
    other.model_source = source
    return other
