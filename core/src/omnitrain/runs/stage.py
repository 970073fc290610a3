"""What a stage sees of its run: a folder, logs, artifacts, seeds, progress and the request to stop."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from omnitrain.api.config import Use
from omnitrain.api.figures import Picture
from omnitrain.api.finished import EVALUATIONS, evaluation_stem
from omnitrain.api.results import Evaluation
from omnitrain.runs.directory import RunDirectory, StoredArtifact
from omnitrain.runs.files import remove, whole, write_json
from omnitrain.runs.progress import Bar, Display
from omnitrain.runs.seeds import derive
from omnitrain.runs.stopping import StopRequest


class Builder(Protocol):
    """What builds components for stages; see omnitrain.engine.building."""

    def __call__(self, run: StageRun, use: Use, facts: Mapping[str, Any]) -> Any: ...

    def describe_model(self, use: Use) -> dict[str, Any]: ...

    def describe_data(self, use: Use) -> dict[str, Any] | None: ...

    def model_data(self, use: Use) -> Use | None: ...

    def predictor(self, run: StageRun, model: Any, address: str, directory: Path) -> Any: ...


class StageRun:
    """The `Run` of one stage; see omnitrain.api.Run for what its methods promise."""

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
    ) -> None:
        self.name = name
        self.folder = folder
        self.directory = folder.stage_folder(name)
        self.workspace = workspace
        self.identity = identity
        self.facts: Mapping[str, Any] = facts or {}
        self.artifacts: dict[str, dict[str, Any]] = {}
        self._seed = seed
        self._builder = builder
        self._stop = stop
        self._display = display
        self._tensorboard: Any = None

    def seed(self, name: str) -> int:
        """Return the seed of a named stream of this stage."""
        return derive(self._seed, self.name, name)

    def build(self, use: Use, facts: Mapping[str, Any] | None = None) -> Any:
        """Build what a config field holds. facts: replaces the context's facts for it."""
        return self._builder(self, use, self.facts if facts is None else facts)

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

    def with_facts(self, facts: Mapping[str, Any]) -> StageRun:
        """Return the same run with other facts, to be the context of a component."""
        other = object.__new__(StageRun)
        other.__dict__.update(self.__dict__)
        other.facts = facts
        return other

    def progress(self, label: str, total: float | None = None) -> AbstractContextManager[Bar]:
        """Show progress while the block runs; its `advance` raises Stopped on request."""
        return self._display.bar(f"{self.name}: {label}", total)

    def log(self, step: int, values: Mapping[str, float], split: str = "train") -> None:
        """Append metrics of a step."""
        self.folder.metrics.append(self.name, step=step, split=split, **values)
        if self._tensorboard is None and self.folder.writes:
            self._tensorboard = _tensorboard_writer(self.folder.root / "tensorboard" / self.name)
        for key, value in values.items() if self._tensorboard else ():
            if isinstance(value, (int, float)):
                self._tensorboard.add_scalar(f"{split}/{key}", value, step)

    def timing(self, step: int, values: Mapping[str, float]) -> None:
        """Append rates and seconds of a step."""
        self.folder.timing.append(self.name, step=step, **values)

    def event(self, name: str, **details: Any) -> None:
        """Append an event and show it."""
        if not self.folder.writes:
            return
        self.folder.events.append(self.name, event=name, **details)
        shown = ", ".join(f"{k} {v}" for k, v in details.items())
        self._display.say(f"{self.name}: {name}{': ' + shown if shown else ''}")

    def say(self, text: str) -> None:
        """Show a note without keeping it."""
        self._display.say(f"{self.name}: {text}")

    @contextmanager
    def artifact(self, name: str, kind: str, **details: Any) -> Iterator[Path]:
        """Yield a temporary path; on success it becomes <stage>/<name> and is recorded with kind and details."""
        target = self.directory / name
        if not self.folder.writes:
            raise RuntimeError("only the first of several processes makes artifacts")
        with whole(target) as temporary:
            yield temporary
        relative = str(target.relative_to(self.folder.root))
        self.artifacts[name] = {"path": relative, "kind": kind, "details": details}

    def input(self, stage: str, name: str = "model") -> StoredArtifact:
        """Return an artifact of an earlier stage."""
        return self.folder.artifact(stage, name)

    def report(self, name: str, evaluation: Evaluation, step: int | None = None) -> None:
        """Store an evaluation: a json file for the report, pictures as files, metrics as lines."""
        if not self.folder.writes:
            return
        place = self.directory / EVALUATIONS
        place.mkdir(parents=True, exist_ok=True)
        stem = evaluation_stem(name, step)
        content: dict[str, Any] = {"name": name, "step": step, **asdict(evaluation)}
        content["pictures"] = {k: _stored_picture(p) for k, p in evaluation.pictures.items()}
        write_json(place / f"{stem}.json", content)
        self.log(step or 0, {k: m.value for k, m in evaluation.metrics.items()}, split=name)

    def should_stop(self) -> bool:
        """True once the run was asked to stop."""
        return self._stop.reason is not None

    def stop_if_asked(self) -> None:
        """Raise Stopped once the run was asked to stop."""
        self._stop.raise_if_asked()

    def line_counts(self) -> tuple[int, int]:
        """Return how many lines of metrics and timing this stage has."""
        return self.folder.metrics.count(self.name), self.folder.timing.count(self.name)

    def sync_records(self) -> None:
        """Force the metrics to disk."""
        self.folder.metrics.sync()

    def rewind(self, metric_lines: int, timing_lines: int) -> None:
        """Cut this stage's lines back to what a checkpoint had written."""
        self.folder.metrics.cut(self.name, metric_lines)
        self.folder.timing.cut(self.name, timing_lines)

    def discard(self, name: str) -> None:
        """Remove a file or folder of this stage."""
        if self.folder.writes:
            remove(self.directory / name)

    def close(self) -> None:
        """Flush what is open."""
        if self._tensorboard:
            self._tensorboard.close()


def _stored_picture(picture: Picture) -> dict[str, str]:
    content = picture.content
    if isinstance(content, str):
        return {"media_type": picture.media_type, "caption": picture.caption, "text": content}
    return {
        "media_type": picture.media_type,
        "caption": picture.caption,
        "base64": base64.b64encode(content).decode("ascii"),
    }


def _tensorboard_writer(directory: Path) -> Any:
    """Return a TensorBoard writer where the package is installed, else False."""
    try:
        from tensorboard.summary import Writer
    except ImportError:
        return False
    return Writer(str(directory))
