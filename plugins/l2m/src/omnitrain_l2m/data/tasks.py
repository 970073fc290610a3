"""Data `l2m/tasks`: windows of the trajectories of several tasks, in one space of states and actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from glob import glob
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from omnitrain.api import Batch, BatchPlan, Context, Fields, Piece
from omnitrain.errors import DataError, Unreachable, UsageError
from omnitrain_control.cache import digest
from omnitrain_control.configs.data import TrajectoriesConfig
from omnitrain_control.data.trajectories import TrajectoriesData
from omnitrain_control.windows import Ints
from omnitrain_l2m.configs.data import TaskConfig, TasksConfig
from omnitrain_l2m.data.drawing import DomainStream, Steps
from omnitrain_l2m.spaces.domains import Domain, builtin_domains, domain_of, padded
from omnitrain_l2m.worlds.games import task_named
from omnitrain_l2m.worlds.recording import ExpertEpisodes

FIELDS: Fields = {
    "observations": "float32[batch, steps, states]",
    "actions": "float32[batch, steps, dimensions]",
    "action_mask": "bool[batch, steps, dimensions]",
    "rewards": "float32[batch, steps]",
    "returns_to_go": "float32[batch, steps]",
    "timesteps": "int64[batch, steps]",
    "attention_mask": "bool[batch, steps]",
}


class TaskSource:
    """The trajectories of one task and how they are brought into the unified spaces."""

    def __init__(self, task: TaskConfig, domain: Domain, config: TasksConfig, inner: Any) -> None:
        self.name, self.domain, self._config = task.name, domain, config
        given: dict[str, Any] = {"path": task.path} if task.path is not None else {}
        settings = TrajectoriesConfig(
            **given,
            fields=task.fields,
            layout=task.layout,
            horizon=task.horizon,
            context=config.context,
            min_steps=config.context,
            actions="numbers",
            action_range=(-1.0, 1.0),
            rewards=True,
            broken=config.broken,
            valid_fraction=config.valid_fraction,
        )
        self.held = TrajectoriesData(settings, inner)
        self._places = slice(0)

    def prepare(self, workspace: Path, context: Context) -> None:
        """Read the trajectories. Raises DataError for what does not fit the unified spaces."""
        self.held.prepare(workspace, context)
        self._places = self.domain.places(self.observed, self._config.states, f"The task {self.name}")
        if self.width > self._config.actions:
            raise DataError(
                f"The task {self.name} has {self.width} actions, the unified space has {self._config.actions}: set actions."
            )

    @property
    def observed(self) -> int:
        """Numbers of an observation."""
        return self.held.trajectories.shapes["observations"][0]

    @property
    def width(self) -> int:
        """Numbers of an action."""
        return self.held.trajectories.shapes["actions"][0]

    def described(self) -> dict[str, Any]:
        """Return what acting in the task needs to know, as plain JSON."""
        found = self.held.trajectories
        return {
            "name": self.name,
            "domain": self.domain.name,
            "reward_scale": self.domain.reward_scale,
            "place": self._places.start,
            "observation_size": self.observed,
            "choices": self.width,
            "best_return": float(found.returns.max()),
            "longest": int(found.lengths.max()),
        }

    def windows(self, steps: Ints) -> Mapping[str, NDArray[Any]]:
        """Return the windows that begin at steps of this task, in the unified spaces, rewards divided by the scale."""
        arrays = {name: values.numpy() for name, values in self.held.collate(steps).items()}
        config, real = self._config, arrays["attention_mask"]
        arrays["observations"] = padded(arrays["observations"], config.states, self._places)
        arrays["actions"] = padded(arrays["actions"], config.actions)
        arrays["action_mask"] = padded(arrays["action_mask"], config.actions) & real[..., None]
        for name in ("rewards", "returns_to_go"):
            arrays[name] = arrays[name] / np.float32(self.domain.reward_scale)
        return arrays


class TasksData:
    """See `TasksConfig`. Examples are steps that windows begin at, numbered over all tasks; splits are "train", "valid" and
    those of one task, "train/NAME" and "valid/NAME".
    """

    batch = FIELDS

    def __init__(self, config: TasksConfig, sources: Sequence[TaskSource]) -> None:
        self.config, self.sources = config, list(sources)
        self.domains = list(dict.fromkeys(source.domain.name for source in sources))
        self._offsets: Ints = np.zeros(1, np.int64)

    @property
    def fingerprint(self) -> str:
        """Hash of the content of all tasks and of the settings."""
        return digest(
            [[s.held.fingerprint for s in self.sources], self.config.model_dump(mode="json", exclude={"tasks", "elsewhere"})]
        )

    def prepare(self, workspace: Path, context: Context) -> None:
        """Read all tasks. Raises Unreachable for files that lie `elsewhere`."""
        for task in self.config.tasks if self.config.elsewhere else ():
            if task.path is not None and not glob(task.path):
                raise Unreachable(f"{task.path} is not on this machine.")
        for source in self.sources:
            source.prepare(workspace, context)
        steps = [source.held.trajectories.steps for source in self.sources]
        self._offsets = np.concatenate([[0], np.cumsum(steps)]).astype(np.int64)

    def task_names(self) -> list[str]:
        """Name the tasks in order."""
        return [source.name for source in self.sources]

    def splits(self) -> Sequence[str]:
        """Name the splits."""
        kinds = ["train", "valid"] if self.config.valid_fraction else ["train"]
        return [*kinds, *(f"{kind}/{name}" for kind in kinds for name in self.task_names())]

    def _steps(self, split: str, domain: str | None = None) -> Steps:
        kind, _, task = split.partition("/")
        if task and task not in self.task_names():
            raise UsageError(f"There is no task {task!r}; the data has {', '.join(self.task_names())}.")
        parts = []
        for number, source in enumerate(self.sources):
            if task in ("", source.name) and domain in (None, source.domain.name) and kind in source.held.splits():
                parts.append((source.held.examples(kind), int(self._offsets[number])))
        return Steps(parts)

    def examples(self, split: str) -> Steps:
        """Return the steps of a split; of "valid" those that windows behind each other begin at."""
        return self._steps(split)

    def batches(self, split: str, plan: BatchPlan) -> DomainStream:
        """Return batches that alternate between domains for training, else every one of `examples` once.

        Raises DataError for a split without steps.
        """
        domains = [self._steps(split, name) for name in self.domains]
        own = [steps for steps in domains if len(steps)]
        if not own:
            raise DataError(f"The split {split!r} has no steps; with few trajectories, raise valid_fraction or give more.")
        return DomainStream(self.collate, own, self._steps(split), self.config.alternate, plan)

    def collate(self, examples: Sequence[int] | Ints) -> Batch:
        """Return the windows that begin at steps; one gather for each task among them."""
        steps = np.asarray(examples, np.int64)
        tasks = np.searchsorted(self._offsets, steps, side="right") - 1
        out: dict[str, NDArray[Any]] = {}
        for number in np.unique(tasks):
            rows = tasks == number
            found = self.sources[number].windows(steps[rows] - self._offsets[number])
            for name in FIELDS:
                if name not in out:
                    out[name] = np.zeros((len(steps), *found[name].shape[1:]), found[name].dtype)
                out[name][rows] = found[name]
        return {name: torch.from_numpy(out[name]) for name in FIELDS}

    def explain(self, batch: Batch, row: int) -> Mapping[str, Sequence[Piece]]:
        """Show the steps of a row: number in the trajectory, return to go, and real actions."""
        pieces = []
        for step, real in enumerate(batch["attention_mask"][row].tolist()):
            held = batch["actions"][row, step][batch["action_mask"][row, step]].tolist()
            told = f"{int(batch['timesteps'][row, step])} ({float(batch['returns_to_go'][row, step]):.3g}): "
            told += ", ".join(f"{number:.3g}" for number in held)
            pieces.append(Piece(f"{told}; " if real else "-; ", "loss" if real else "padding"))
        return {"step (return to go): action": pieces}

    def facts(self) -> Mapping[str, Any]:
        """Tell the sizes that a model needs, and what acting in each task does."""
        described = [source.described() for source in self.sources]
        return {
            "states": self.config.states,
            "dimensions": self.config.actions,
            "context": self.config.context,
            "longest": max(task["longest"] for task in described),
            "tasks": described,
        }


def _domain(task: TaskConfig, config: TasksConfig) -> Domain:
    name = task.domain or task_named(task.name).family
    known = {**builtin_domains(), **{n: domain_of(n, row.model_dump()) for n, row in config.domains.items()}}
    if name not in known:
        raise UsageError(
            f"tasks: {task.name} is of the domain {name!r}; expected one of {', '.join(known)}, or add it to domains."
        )
    return known[name]


def build(config: TasksConfig, context: Context) -> TasksData:
    """Make the data `l2m/tasks`. Raises UsageError for an unknown world or domain."""
    sources = []
    for task in config.tasks:
        domain = _domain(task, config)
        inner: Any = None
        if task.data is not None:
            inner = context.build(task.data)
        elif task.path is None:
            inner = ExpertEpisodes(task_named(task.name).name, config.episodes)
        sources.append(TaskSource(task, domain, config, inner))
    return TasksData(config, sources)
