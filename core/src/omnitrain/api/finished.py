"""A finished run as the measures of claims read it: by stage and evaluator, never by file name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omnitrain.api.checksums import check_files
from omnitrain.api.results import Evaluation, Metric, Sample, Table
from omnitrain.api.shapes import Shape
from omnitrain.api.stored import (
    EVALUATION,
    METRIC_LINE,
    STAGE,
    STAGES,
    TIMING_LINE,
    damage_of,
    read_as,
    read_lines,
    with_numbers,
)
from omnitrain.errors import Damaged, DataError, nearest

EVALUATIONS = "evaluations"


def evaluation_stem(label: str, step: int | None = None) -> str:
    """Return the name, without suffix, of the file that holds an evaluation. label: of the evaluator."""
    return label.replace("/", "-") + ("" if step is None else f"-{step:08d}")


@dataclass(frozen=True, slots=True)
class FinishedStage:
    """What a run knows of one stage. status: "running" or "finished". seconds: how long it worked, over all its starts.

    artifacts: name to kind. code: version of each distribution that its components come from.
    """

    status: str
    seconds: float
    artifacts: Mapping[str, str] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)


class FinishedRun:
    """A run directory, opened for reading.

    Every method raises DataError that says what is missing and what is there, and Damaged, which is one, for a file that is
    not as it was written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shape: Shape = {"recipe": STAGES}
        record = self._json(folder / "run.json", f"{folder} is no run", shape, "run again in a new folder")
        self.stages: tuple[str, ...] = tuple(stage["name"] for stage in record["recipe"]["stages"])

    def __repr__(self) -> str:
        return f"FinishedRun({str(self.folder)!r})"

    def record(self, stage: str) -> FinishedStage:
        """Return what is known of a stage. Raises DataError for one that the recipe lacks or that did not begin."""
        found = self._record(stage)
        kinds = {str(name): str(artifact["kind"]) for name, artifact in found["artifacts"].items()}
        return FinishedStage(str(found["status"]), float(found["seconds"]), kinds, dict(found.get("code", {})))

    def stage_folder(self, stage: str) -> Path:
        """Return the folder of a stage that finished, for files that the stage's own package writes and reads."""
        self._finished(stage)
        return self.folder / stage

    def evaluation(self, stage: str, evaluator: str, step: int | None = None) -> Evaluation:
        """Return what an evaluator found: metrics, tables and samples. evaluator: its name in the recipe, else its address.
        step: of training; None for an evaluation without one, else the last.
        """
        self._finished(stage)
        path = self._evaluation_file(stage, evaluator, step)
        content = self._json(path, f"{path} is missing", EVALUATION, f"run stage {stage!r} again")
        return Evaluation(
            metrics={name: _metric(found) for name, found in content["metrics"].items()},
            tables={n: Table(t["columns"], t["rows"], t.get("caption", "")) for n, t in content["tables"].items()},
            samples={name: [Sample(one["fields"]) for one in found] for name, found in content["samples"].items()},
        )

    def metrics(self, stage: str, evaluator: str, step: int | None = None) -> dict[str, Metric]:
        """Return the metrics that an evaluator found, by name; see `evaluation`."""
        return dict(self.evaluation(stage, evaluator, step).metrics)

    def values(self, stage: str, evaluator: str, step: int | None = None) -> dict[str, float]:
        """Return the metrics that an evaluator found as plain numbers, by name; see `evaluation`."""
        return {name: metric.value for name, metric in self.evaluation(stage, evaluator, step).metrics.items()}

    def lines(self, stage: str, split: str | None = "train") -> list[dict[str, Any]]:
        """Return the metric lines of a stage in order, each with its step and without stage and split. split None: all, with
        their split.
        """
        found = [row for row in self._lines("metrics.jsonl", METRIC_LINE) if row.get("stage") == self._known(stage)]
        splits = sorted({str(row.get("split", "")) for row in found})
        if split is not None and split not in splits:
            raise DataError(f"Stage {stage!r} of {self.folder} logged nothing of split {split!r}; it logged {_listed(splits)}.")
        dropped = ("stage",) if split is None else ("stage", "split")
        rows = found if split is None else [row for row in found if row.get("split") == split]
        return [{key: value for key, value in row.items() if key not in dropped} for row in rows]

    def timings(self, stage: str) -> list[dict[str, Any]]:
        """Return the timing lines of a stage in order, each with its step and without the stage."""
        found = [row for row in self._lines("timing.jsonl", TIMING_LINE) if row.get("stage") == self._known(stage)]
        if not found:
            raise DataError(f"Stage {stage!r} of {self.folder} timed nothing; run it again in a new folder.")
        return [{key: value for key, value in row.items() if key != "stage"} for row in found]

    def artifact(self, stage: str, name: str = "model") -> Path:
        """Return the path of an artifact of a stage that finished."""
        artifacts = self._finished(stage)["artifacts"]
        if name not in artifacts:
            raise DataError(f"Stage {stage!r} of {self.folder} has no artifact {name!r}; it made {_listed(artifacts)}.")
        path = (self.folder / str(artifacts[name]["path"])).resolve()
        if not path.is_relative_to(self.folder.resolve()):
            raise DataError(f"The artifact {name!r} of stage {stage!r} leads out of {self.folder}; the run was changed.")
        if not path.exists():
            raise DataError(f"{path} is missing although stage {stage!r} made it; run the stage again.")
        check_files(path, artifacts[name].get("files", {}), f"run stage {stage!r} again")
        return path

    def _known(self, stage: str) -> str:
        if stage not in self.stages:
            raise DataError(f"{self.folder} has no stage {stage!r}. {nearest(stage, self.stages)}")
        return stage

    def _record(self, stage: str) -> dict[str, Any]:
        path = self.folder / self._known(stage) / "stage.json"
        return self._json(path, f"Stage {stage!r} of {self.folder} did not run", STAGE, f"run stage {stage!r} again")

    def _finished(self, stage: str) -> dict[str, Any]:
        found = self._record(stage)
        if found["status"] != "finished":
            raise DataError(f"Stage {stage!r} of {self.folder} did not finish; go on with 'omnitrain run {self.folder}'.")
        return found

    def _evaluation_file(self, stage: str, evaluator: str, step: int | None) -> Path:
        place = self.folder / stage / EVALUATIONS
        path = place / f"{evaluation_stem(evaluator, step)}.json"
        if path.exists():
            return path
        stem = evaluation_stem(evaluator)
        steps = sorted(p for p in place.glob("*.json") if p.stem.startswith(f"{stem}-") and p.stem[len(stem) + 1 :].isdecimal())
        if step is None and steps:
            return steps[-1]
        when = "" if step is None else f" at step {step}"
        files = [(p, self._json(p, f"{p} is missing", EVALUATION, f"run stage {stage!r} again")) for p in place.glob("*.json")]
        there = sorted({str(content.get("name", p.stem)) for p, content in files})
        raise DataError(
            f"Stage {stage!r} of {self.folder} holds no evaluation {evaluator!r}{when}; it holds {_listed(there)}. "
            "An evaluator is named by its 'name:' in the recipe, else by its address."
        )

    def _lines(self, name: str, shape: Shape) -> list[dict[str, Any]]:
        path = self.folder / name
        lines = read_lines(path, shape)
        for said in damage_of(path, lines):
            raise Damaged(f"{said.removesuffix('.')}; numbers of this run would lack it, run again in a new folder.")
        return [with_numbers(line.row) for line in lines if line.row is not None]

    def _json(self, path: Path, missing: str, shape: Shape, advice: str) -> dict[str, Any]:
        try:
            return read_as(path, shape, advice)
        except FileNotFoundError as error:
            raise DataError(f"{missing} ({path.name} is not there).") from error


def _metric(found: Mapping[str, Any]) -> Metric:
    interval = found.get("interval")
    return Metric(
        float(found["value"]),
        int(found["n"]),
        found.get("direction", "none"),
        None if interval is None else (float(interval[0]), float(interval[1])),
        found.get("unit", ""),
    )


def _listed(names: Sequence[str] | Mapping[str, Any]) -> str:
    return ", ".join(names) or "nothing"
