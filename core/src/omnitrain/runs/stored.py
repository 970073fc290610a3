"""A run directory opened for reading: what is damaged is left out and told, and hides nothing else."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path
from typing import Any

from omnitrain.api.finished import EVALUATIONS
from omnitrain.api.shapes import Shape
from omnitrain.api.stored import (
    EVENT_LINE,
    METRIC_LINE,
    TIMING_LINE,
    damage_of,
    read_lines,
    read_text,
    with_numbers,
)
from omnitrain.errors import OmnitrainError
from omnitrain.runs.directory import LOCK_FILE, RunDirectory, StageRecord
from omnitrain.runs.evaluations import read_evaluation

DAMAGED = "damaged"


class StoredRun:
    """What a run wrote down, each file read once.

    problems: a sentence on everything that was damaged in what was asked for so far.
    Raises EnvironmentFault when the folder is not a run or its run.json is damaged.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.problems: list[str] = []
        self._folder = RunDirectory(root, writes=False)
        self.record = self._folder.record
        self._stages: dict[str, StageRecord | None] = {}
        self._damaged: set[str] = set()
        self._lines: dict[str, list[dict[str, Any]]] = {}
        self._evaluations: dict[str, list[dict[str, Any]]] = {}

    @property
    def stages(self) -> list[str]:
        """The names of the recipe's stages."""
        return [stage["name"] for stage in self.record["recipe"]["stages"]]

    def stage(self, name: str) -> StageRecord | None:
        """Return what is known of a stage, None before it ran and where that is damaged."""
        if name not in self._stages:
            try:
                self._stages[name] = self._folder.stage_record(name)
            except OmnitrainError as error:
                self._stages[name] = None
                self._damaged.add(name)
                self.problems.append(str(error))
        return self._stages[name]

    def status(self, name: str, running: bool) -> str:
        """Return "finished", "running", "unfinished", "waiting" or "damaged"."""
        found = self.stage(name)
        if found is None:
            return DAMAGED if name in self._damaged else "waiting"
        return "finished" if found.status == "finished" else "running" if running else "unfinished"

    def metrics(self) -> list[dict[str, Any]]:
        """Return the lines of metrics.jsonl."""
        return self._rows("metrics.jsonl", METRIC_LINE)

    def timings(self) -> list[dict[str, Any]]:
        """Return the lines of timing.jsonl."""
        return self._rows("timing.jsonl", TIMING_LINE)

    def events(self) -> list[dict[str, Any]]:
        """Return the lines of events.jsonl."""
        return self._rows("events.jsonl", EVENT_LINE)

    def evaluation_folder(self, stage: str) -> Path:
        """Return where the evaluations of a stage lie."""
        return self.root / stage / EVALUATIONS

    def evaluations(self, stage: str) -> list[dict[str, Any]]:
        """Return the last evaluation of each name of a stage, as stored."""
        if stage not in self._evaluations:
            latest: dict[str, dict[str, Any]] = {}
            for path in sorted(self.evaluation_folder(stage).glob("*.json")):
                try:
                    content = read_evaluation(path)
                except OmnitrainError as error:
                    self.problems.append(str(error))
                    continue
                known = latest.get(content["name"])
                if known is None or (content["step"] or 0) >= (known["step"] or 0):
                    latest[content["name"]] = content
            self._evaluations[stage] = list(latest.values())
        return self._evaluations[stage]

    def lock_text(self) -> str:
        """Return the text of recipe.lock.yaml, empty where there is none."""
        try:
            return read_text(self.root / LOCK_FILE)
        except FileNotFoundError:
            self.problems.append(f"{self.root / LOCK_FILE} is missing.")
        except OmnitrainError as error:
            self.problems.append(str(error))
        return ""

    def _rows(self, name: str, shape: Shape) -> list[dict[str, Any]]:
        if name not in self._lines:
            path, self._lines[name] = self.root / name, []
            try:
                lines = read_lines(path, shape)
            except OmnitrainError as error:
                self.problems.append(str(error))
            else:
                self.problems += damage_of(path, lines)
                self._lines[name] = [with_numbers(line.row) for line in lines if line.row is not None]
        return self._lines[name]


def in_use(root: Path) -> bool:
    """Whether another process works on the run. Asked by the process that does, the answer is no: it is at its end."""
    path = root / ".lock"
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with open(path, "rb") as file:
            if file.read(32).strip() == str(os.getpid()).encode():
                return False
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
