"""Data `lae/class-incremental`: any labelled data as tasks. A split a task, so that no other task's examples are touched."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from omnitrain.api import (
    Batch,
    Context,
    Data,
    DrawsExamples,
    ExplainsBatches,
    Fields,
    Gathers,
    Piece,
    Prepares,
    SavesAssets,
    TellsFacts,
    numpy_generator,
    parse_field,
    read_text,
    reading,
)
from omnitrain.engine import write_json
from omnitrain.errors import DataError, UsageError, nearest
from omnitrain_lae.configs.data import ClassIncrementalConfig
from omnitrain_tuning.scenario import Scenario, check_class_order, task_sizes

Ints = NDArray[np.int64]
TRAIN, TEST = "train", "test"
SCENARIO_FILE = "scenario.json"


@runtime_checkable
class TellsLabels(Protocol):
    """Data that knows its labels without making its examples."""

    def labels(self, split: str) -> Ints:
        """Return the labels int64[examples] of a split."""


@runtime_checkable
class HasTasks(Protocol):
    """Data that `lae/continual` learns from: splits `train/1`, `test/1`, ... and the classes of each task."""

    def task_sizes(self) -> list[int]:
        """Return the number of classes of each task."""


def shipped_order(name: str) -> list[int]:
    """Return a class order of the official runs. Raises UsageError for an unknown name."""
    stored = json.loads((files("omnitrain_lae.data") / "class_orders.json").read_text("utf-8"))
    if name not in stored:
        raise UsageError(f"order: {name!r} is not known. {nearest(name, ['identity', 'random', *stored])}")
    return [int(label) for label in stored[name]["class_order"]]


class IncrementalData:
    """Tasks over a source; see `ClassIncrementalConfig`."""

    def __init__(self, config: ClassIncrementalConfig, source: Data, seed: int) -> None:
        self.config, self.source, self._seed = config, source, seed
        if "labels" not in source.batch:
            raise UsageError(f"data: its batches carry no 'labels', only {', '.join(source.batch)}.")
        spec = parse_field(source.batch["labels"])
        self._sequence = spec.dims[1] if spec.dims and len(spec.dims) > 1 else None
        self.batch: Fields = {n: s for n, s in source.batch.items() if n != "labels" and not self._belongs_to_label(s)}
        self.batch = {**self.batch, "labels": "int64[batch]"}
        self._original: dict[str, Ints] = {}
        self._names: list[str] = []
        self._full_order: list[int] = []
        self._scenario: Scenario | None = None
        self._rows: dict[str, Ints] = {}

    def _belongs_to_label(self, spec: str) -> bool:
        """Fields along the length of a label that is a sequence (a decoder's inputs) are no input of a classifier."""
        return self._sequence is not None and self._sequence in (parse_field(spec).dims or ())

    def prepare(self, workspace: Path, context: Context) -> None:
        """Prepare the source and find the classes."""
        if isinstance(self.source, Prepares):
            self.source.prepare(workspace, context)
        _ = self.scenario

    @property
    def scenario(self) -> Scenario:
        """The tasks. Raises UsageError for an order or sizes that do not fit, DataError for an empty task."""
        if self._scenario is None:
            self._read_labels()
            self._scenario = self._drawn()
            for split in (TRAIN, TEST):
                self._scenario.check_filled(self._scenario.new_labels(self._original[split]), self._source_split(split))
        return self._scenario

    def _source_split(self, split: str) -> str:
        return self.config.train_split if split == TRAIN else self.config.test_split

    def _read_labels(self) -> None:
        known = list(self.source.splits())
        for split in (TRAIN, TEST):
            name = self._source_split(split)
            if name not in known:
                raise DataError(f"{split}_split: the source has no split {name!r}; it has {', '.join(known)}.")
        if isinstance(self.source, TellsLabels):
            self._original = {split: self.source.labels(self._source_split(split)) for split in (TRAIN, TEST)}
            facts = self.source.facts() if isinstance(self.source, TellsFacts) else {}
            highest = int(max(labels.max() for labels in self._original.values()))
            self._names = list(facts.get("class_names", [str(i) for i in range(highest + 1)]))
            return
        keys = {split: self._label_keys(self._source_split(split)) for split in (TRAIN, TEST)}
        classes = sorted(set(keys[TRAIN]))
        unknown = sorted(set(keys[TEST]) - set(classes))
        if unknown:
            raise DataError(f"Split {self.config.test_split!r} has the class {unknown[0]}, which no training example has.")
        numbers = {key: number for number, key in enumerate(classes)}
        self._original = {split: np.array([numbers[key] for key in found], np.int64) for split, found in keys.items()}
        self._names = [_named(key) for key in classes]

    def _label_keys(self, split: str) -> list[tuple[int, ...]]:
        """Return each example's label as a tuple: of one number, or of a sequence without its padding of -100 and 0."""
        rows = len(self.source.examples(split))
        found: list[tuple[int, ...]] = []
        for start in range(0, rows, 256):
            labels = self._source_batch(split, np.arange(start, min(start + 256, rows)))["labels"]
            for label in torch.as_tensor(labels).reshape(len(labels), -1).tolist():
                found.append(tuple(label) if self._sequence is None else tuple(_stripped(label)))
        return found

    def _source_batch(self, split: str, rows: Ints) -> Batch:
        if isinstance(self.source, Gathers):
            return self.source.gather(split, rows)
        if isinstance(self.source, DrawsExamples):
            return self.source.collate([self.source.example(split, int(row), 0) for row in rows])
        examples = self.source.examples(split)
        return self.source.collate([examples[int(row)] for row in rows])

    def _drawn(self) -> Scenario:
        config = self.config
        present = sorted(set(self._original[TRAIN].tolist()))
        self._full_order = order = self._order(present)
        check_class_order(order, present, "order")
        sizes = task_sizes(len(order), config.classes_per_task, config.first_task_classes, config.smaller_last_task)
        if config.tasks is not None:
            if config.tasks > len(sizes):
                raise UsageError(f"tasks: {config.tasks} tasks were asked for, but {len(order)} classes give {len(sizes)}.")
            sizes = sizes[: config.tasks]
        return Scenario(order[: sum(sizes)], sizes)

    def _order(self, present: list[int]) -> list[int]:
        order = self.config.order
        if self.config.path is not None:
            file = Path(self.config.path) / SCENARIO_FILE
            if not file.is_file():
                raise DataError(f"{file} is missing; expected a folder that the stage lae/scenario wrote.")
            with reading(file, "a scenario with an order of classes"):
                return [int(label) for label in json.loads(read_text(file))["order"]]
        if isinstance(order, list):
            return list(order)
        if order == "identity":
            return present
        if order == "random":
            return [present[i] for i in numpy_generator(self._seed).permutation(len(present))]
        return shipped_order(order)

    def _place(self, split: str) -> tuple[str, Ints]:
        """Return (train or test, rows of the source's split) of `train`, `test`, `train/1`, ..."""
        part, _, number = split.partition("/")
        scenario = self.scenario
        if part not in (TRAIN, TEST) or (number and not (number.isdigit() and 1 <= int(number) <= len(scenario.tasks))):
            raise DataError(f"There is no split {split!r}; there are train, test, train/1 to train/{len(scenario.tasks)}, ...")
        if split not in self._rows:
            labels = scenario.new_labels(self._original[part])
            self._rows[split] = scenario.rows(labels, int(number) - 1) if number else np.flatnonzero(labels >= 0)
        return part, self._rows[split]

    @property
    def fingerprint(self) -> str:
        """Hash of the source and of the tasks, or of what decides them where the source's labels take slow work to read."""
        text: list[Any] = [self.source.fingerprint]
        if isinstance(self.source, Prepares):
            text += [self._seed, self.config.model_dump(mode="json", exclude={"data"})]
        else:
            text += [self.scenario.order, self.scenario.sizes, self.config.train_split, self.config.test_split]
        return hashlib.blake2b(json.dumps(text).encode(), digest_size=16).hexdigest()

    @property
    def full_order(self) -> list[int]:
        """The original labels in their new order, those included that no task has."""
        _ = self.scenario
        return self._full_order

    def splits(self) -> Sequence[str]:
        """Name the splits: all tasks together, then those of each task, from 1."""
        numbers = range(1, len(self.scenario.tasks) + 1)
        return [TRAIN, TEST, *(f"{part}/{number}" for number in numbers for part in (TRAIN, TEST))]

    def task_sizes(self) -> list[int]:
        """Return the number of classes of each task."""
        return self.scenario.sizes

    def class_names(self) -> list[str]:
        """Return the names of all classes, by new label."""
        return [self._names[label] for label in self.scenario.order]

    def facts(self) -> Mapping[str, Any]:
        """Return the source's facts with classes and class_names in the order of the tasks, and task_sizes."""
        inner = dict(self.source.facts()) if isinstance(self.source, TellsFacts) else {}
        return {
            **inner,
            "classes": len(self.scenario.order),
            "class_names": self.class_names(),
            "task_sizes": self.task_sizes(),
        }

    def save_assets(self, directory: Path) -> None:
        """Write what the source writes (a tokenizer) and the scenario."""
        if isinstance(self.source, SavesAssets):
            self.source.save_assets(directory)
        write_scenario(self, directory)

    def examples(self, split: str) -> Rows:
        """Return the examples of a split; another task's are never touched."""
        part, rows = self._place(split)
        return Rows(self, split, self.source.examples(self._source_split(part)), rows)

    def collate(self, examples: Sequence[tuple[Any, int]]) -> Batch:
        """Make a batch of the source's examples with new labels."""
        inner = self.source.collate([example for example, _ in examples])
        return self._relabelled(inner, np.array([label for _, label in examples], np.int64))

    def _relabelled(self, batch: Batch, labels: Ints) -> Batch:
        return {**{name: batch[name] for name in self.batch if name in batch}, "labels": torch.from_numpy(labels)}

    def new_labels(self, split: str, rows: Ints) -> Ints:
        """Return the new labels int64 of rows of a split."""
        part, source_rows = self._place(split)
        return self.scenario.new_labels(self._original[part][source_rows[rows]])

    def explain(self, batch: Batch, row: int) -> Mapping[str, Sequence[Piece]]:
        """Show one row as the source does, with the name of its class."""
        label = int(batch["labels"][row])
        shown: dict[str, Sequence[Piece]] = {}
        if isinstance(self.source, ExplainsBatches) and self._sequence is None:
            original = {**batch, "labels": torch.tensor(self.scenario.order)[batch["labels"]]}
            shown = {k: v for k, v in self.source.explain(original, row).items() if k != "class"}
        return {**shown, "class": [Piece(f"{self.class_names()[label]} (label {label})", "loss")]}


class GatheredTasks(IncrementalData):
    """Tasks over a source that makes batches of any rows in one step."""

    def gather(self, split: str, rows: Ints) -> Batch:
        """Return the batch of the rows int64[batch] of a split."""
        part, source_rows = self._place(split)
        assert isinstance(self.source, Gathers)
        inner = self.source.gather(self._source_split(part), source_rows[rows])
        return self._relabelled(inner, self.new_labels(split, rows))


class DrawnTasks(IncrementalData):
    """Tasks over a source whose examples are drawn anew each epoch."""

    def example(self, split: str, index: int, seed: int) -> tuple[Any, int]:
        """Return example `index` of a split drawn with `seed`, with its new label."""
        part, source_rows = self._place(split)
        assert isinstance(self.source, DrawsExamples)
        drawn = self.source.example(self._source_split(part), int(source_rows[index]), seed)
        return drawn, int(self.new_labels(split, np.array([index]))[0])


class Rows(Sequence[tuple[Any, int]]):
    """Some rows of the source's examples, each with its new label."""

    def __init__(self, data: IncrementalData, split: str, examples: Any, rows: Ints) -> None:
        self._data, self._split, self._examples, self._rows = data, split, examples, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> tuple[Any, int]:  # type: ignore[override]  # no slices
        label = int(self._data.new_labels(self._split, np.array([index]))[0])
        return self._examples[int(self._rows[index])], label


def _stripped(label: list[int]) -> list[int]:
    kept = [token for token in label if token != -100]
    while kept and kept[-1] == 0:
        kept.pop()
    return kept


def _named(key: tuple[int, ...]) -> str:
    return " ".join(map(str, key))


def write_scenario(data: IncrementalData, directory: Path) -> None:
    """Write the class order and the tasks as a file for people and for `path`."""
    scenario, names = data.scenario, data.class_names()
    tasks = [{"labels": list(range(t.first, t.stop)), "classes": names[t.first : t.stop]} for t in scenario.tasks]
    content = {"order": data.full_order, "tasks": tasks}
    write_json(directory / SCENARIO_FILE, content)


def build(config: ClassIncrementalConfig, context: Context) -> IncrementalData:
    """Make the data `lae/class-incremental`."""
    source: Data = context.build(config.data)
    seed = context.seed("class order")
    if isinstance(source, Gathers):
        return GatheredTasks(config, source, seed)
    if isinstance(source, DrawsExamples):
        return DrawnTasks(config, source, seed)
    return IncrementalData(config, source, seed)
