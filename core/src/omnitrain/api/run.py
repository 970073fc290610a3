"""What components and stages get from core: a Context when they are built, a Run when a stage is run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from omnitrain.api.config import Use, UseEvaluator
    from omnitrain.api.data import Data
    from omnitrain.api.results import Evaluation

Item = TypeVar("Item")


class Progress(Protocol):
    """Something that shows how far a slow job is."""

    def advance(self, amount: float = 1, **values: float) -> None:
        """Add finished work; `values` are numbers to show beside the bar (loss, rate). Raises Stopped on request."""


class Context(Protocol):
    """What a component gets when it is built."""

    @property
    def workspace(self) -> Path:
        """A folder for slow, reusable work, shared by runs and keyed by content; see `Prepares`."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the data tells a model: {"vocabulary_size": 4096, "pad_id": 0, ...}.

        Empty where there is no data, and while an objective without a model in its settings is built only to compare its
        fields with the data's.
        """

    @property
    def model_source(self) -> str | None:
        """Where the model comes from that the stage goes on with or measures: a folder, or a name on the hub; else None.

        Data takes from there what belongs to that model, such as its tokenizer.
        """

    @property
    def saved(self) -> Path | None:
        """The folder of the saved model that is being built again, None for a new one."""

    def seed(self, name: str) -> int:
        """Return the seed of the random stream of that name: a function of the run's seed, the stage and the name."""

    def build(self, use: Use, facts: Mapping[str, Any] | None = None) -> Any:
        """Build the component that a config field holds."""

    def load(self, folder: Path) -> Any:
        """Build the model that a folder of `omnitrain.engine.save_model` holds, with its weights."""

    def progress(self, label: str, total: float | None = None) -> AbstractContextManager[Progress]:
        """Show progress while the block runs."""

    def event(self, name: str, **details: Any) -> None:
        """Append one line to events.jsonl and show it: a skipped update, a resumed run, what was taken of a user's file.

        A dry run shows it among its notes, the report on its page.
        """


class Artifact(Protocol):
    """A product of a stage: a folder or file inside the run directory."""

    @property
    def path(self) -> Path: ...

    @property
    def kind(self) -> str: ...

    @property
    def details(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Opened:
    """A model that is ready to be measured: on its device, in evaluation mode, wrapped for evaluators.

    predictor: what is asked for abilities (generating, scoring). directory: its files (weights, tokenizer). address: its
    component, "plugin/name". facts: what its data told it when it was built. data_use: the data field of the stage that it
    is from, None where there is none.
    """

    model: Any
    predictor: Any
    directory: Path
    address: str
    facts: Mapping[str, Any]
    data_use: Use | None


class Ledger(Protocol):
    """Finished items of a long job by text key, kept durably: after a kill at any time the job goes on behind them.

    Values are plain JSON. What is large goes into a file of `folder` and is named in the value.
    """

    @property
    def folder(self) -> Path:
        """A folder for files of items; write them whole (omnitrain.engine.write_whole) before the item is added."""

    def __contains__(self, key: object) -> bool: ...

    def __getitem__(self, key: str) -> Any: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[str]: ...

    def items(self) -> Iterator[tuple[str, Any]]:
        """Yield keys and values in the order in which keys were first added, read one at a time."""

    def add(self, key: str, value: Any) -> None:
        """Keep an item; of two with one key the later counts."""

    def map(
        self,
        function: Callable[[Item], Any],
        items: Iterable[Item],
        *,
        key: Callable[[Item], str],
        workers: int = 0,
        ordered: bool = True,
        label: str = "",
        on_error: Callable[[str, Exception], None] | None = None,
    ) -> Iterator[tuple[str, Any]]:
        """Yield (key, value) of every item; `function` is called for those that are missing, and its result is kept.

        workers: processes that call it, 0 for this one; function and items are then sent between processes.
        ordered: in the order of items, else those first that are done first. label: shown beside the progress.
        on_error: called with key and error in place of raising; such an item is left out and tried again next time.
        Raises what the function raises, with a note that names the item, and Stopped on request; what is finished is kept.
        """


class Run(Context, Protocol):
    """The only thing that a stage gets from core besides its config. docs/stages.md shows each method in use."""

    @property
    def name(self) -> str:
        """The stage's name in the recipe."""

    @property
    def directory(self) -> Path:
        """The stage's own folder. A stage writes nowhere else."""

    @property
    def identity(self) -> str:
        """Digits of all that decides this stage's result; checkpoints carry them."""

    # What the stage works with

    def data(self, use: Use) -> tuple[Data, dict[str, Any]]:
        """Build the data of a field and do its slow work; return it with its facts."""

    def open(
        self,
        use: Use,
        *,
        device: str = "auto",
        data: Data | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Opened:
        """Make the model of a field ready to be measured, whether it is of an earlier stage or built anew.

        device: "auto", "cpu", "cuda:0". data, facts: for a model that is not from a stage, what it is built for.
        """

    def input(self, stage: str | Use, name: str = "model") -> Artifact:
        """Return an artifact of an earlier stage, by names or by the field that says `from: stage/name`."""

    def describe_model(self, use: Use) -> dict[str, Any]:
        """Return {"use", "config"} of what a model field stands for, also through `from`."""

    def describe_data(self, use: Use) -> dict[str, Any] | None:
        """Return {"use", "config"} of what a data field stands for, or None for a product that is only a path."""

    def model_data(self, use: Use) -> Use | None:
        """Return the data field of the stage that a model is from, or None."""

    def predictor(self, model: Any, address: str, directory: Path) -> Any:
        """Wrap a model of that component for evaluators. directory: the saved model, or the data's assets."""

    # What it leaves

    def artifact(self, name: str, kind: str, *, folder: bool = False, **details: Any) -> AbstractContextManager[Path]:
        """Yield a temporary path next to the target; it is renamed and recorded when the block succeeds.

        folder: make the path a folder first.
        """

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
        """Leave a model as an artifact that `from: stage/name` builds again.

        component: the model's field, or {"use", "config"}. data: the field of the data that it was trained on. facts: what
        that told it. assets: the data itself, or anything that `SavesAssets`, or a folder: its files are laid beside the
        weights. Of several processes only the first writes.
        """

    def ledger(self, name: str) -> Ledger:
        """Return the list of finished items of that name; it is cleared when what decides the stage's result changes."""

    def discard(self, name: str) -> None:
        """Remove a file, a folder or a ledger of this stage."""

    # What it tells

    def log(self, step: int, values: Mapping[str, float], split: str = "train") -> None:
        """Append one line to metrics.jsonl. Values must not depend on the clock; see `timing` for those that do."""

    def timing(self, step: int, values: Mapping[str, float]) -> None:
        """Append one line to timing.jsonl: rates and seconds."""

    def say(self, text: str) -> None:
        """Show a note without keeping it."""

    def report(self, name: str, evaluation: Evaluation, step: int | None = None) -> None:
        """Store an evaluation in the run: metrics as lines, the rest for the report page."""

    def evaluate(
        self, evaluators: Sequence[UseEvaluator], opened: Opened, data: Data | None = None, *, report: bool = True
    ) -> dict[str, Evaluation]:
        """Measure a model with evaluators, each with the same randomness; return what they find by label.

        data: what it is measured on. report: store the findings too.
        """

    # A loop of its own

    def should_stop(self) -> bool:
        """True after SIGTERM, Ctrl-C or the time limit: save a checkpoint and raise Stopped."""

    def stop_if_asked(self) -> None:
        """Raise Stopped when there is such a request."""

    def line_counts(self) -> tuple[int, int]:
        """Return how many lines of metrics and of timing this stage has, to be kept in a checkpoint.

        Lines that a checkpoint counts are left to whoever reads it, see `rewind`; all others of an interrupted stage are
        removed before it is called again, so that each comes once.
        """

    def sync_records(self) -> None:
        """Force the lines of metrics to disk, before the checkpoint that counts them."""

    def rewind(self, metric_lines: int, timing_lines: int) -> None:
        """Cut this stage's lines back to what a checkpoint had counted, or to none where there is no checkpoint."""

    def part(self, name: str) -> Run:
        """Return a run inside this one, "stage/name": its seeds, folder and lines are its own, its artifacts the stage's."""
