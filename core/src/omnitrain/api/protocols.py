"""The interfaces of components: one to five methods each, further abilities as small Protocols of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from omnitrain.api.data import Batch
from omnitrain.api.fields import Fields
from omnitrain.api.figures import Piece
from omnitrain.api.results import Evaluation, Loss
from omnitrain.api.run import Context, Run

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from omnitrain.api.config import Use


@runtime_checkable
class Prepares(Protocol):
    """Data with slow work that is done once and cached on disk (tokenising, featurising)."""

    def prepare(self, workspace: Path, context: Context) -> None:
        """Do the work or find it done. Another process may do the same at the same time."""


@runtime_checkable
class TellsFacts(Protocol):
    """Data that knows what a model must know."""

    def facts(self) -> Mapping[str, Any]:
        """Return sizes and ids by name."""


@runtime_checkable
class SavesAssets(Protocol):
    """Data with files that belong to every model trained on it (tokenizer, label names)."""

    def save_assets(self, directory: Path) -> None:
        """Write the files into the model's folder."""


@dataclass(frozen=True)
class BatchPlan:
    """What a data's own batch order has to respect.

    batch_size: rows of one update on this process. seed: of the order and of every draw. rank, world: this process.
    train: shuffled and endless if true; in order, once, if false.
    """

    batch_size: int
    seed: int
    rank: int = 0
    world: int = 1
    train: bool = True


class BatchStream(Protocol):
    """An endless or finite iterator of batches that can be saved and continued exactly."""

    def __iter__(self) -> Iterator[Batch]: ...

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands: plain data, numpy arrays or tensors."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where that state stood; the time this takes does not depend on the position."""


@runtime_checkable
class OrdersBatches(Protocol):
    """Data with an own batch order: vectorised gathers, task-balanced, packed, streams that continue row by row."""

    def batches(self, split: str, plan: BatchPlan) -> BatchStream:
        """Return the batches of a split. A batch holds `plan.batch_size` rows and may carry `example_ids`."""


class Feed(Protocol):
    """Gives the micro-batches of one update at a time, and can be saved and continued."""

    def next(self) -> list[Batch] | None:
        """Return the micro-batches of the next update, or None at the end of the split.

        An exception is always a fault: nothing that goes through data has to tell the two apart.
        """

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...

    def close(self) -> None:
        """End the worker processes, if any."""


@runtime_checkable
class MakesFeed(Protocol):
    """Data that says itself what each micro-batch of an update holds, as a mixture of other data does."""

    def feed(self, split: str, plan: BatchPlan, accumulate: int, workers: int) -> Feed:
        """Return the feed of a split, in place of the engine's. accumulate: micro-batches of an update.

        workers: processes that may make batches. Endless if `plan.train`; once, in order, if not.
        """


@runtime_checkable
class TellsOrder(Protocol):
    """Data that can say before a training how often it will see what."""

    def order(self, split: str, plan: BatchPlan, updates: int) -> Mapping[str, str]:
        """Return a line for each part of the data, by its name; a dry run shows them, and the run records them."""


@runtime_checkable
class Gathers(Protocol):
    """Data that makes a batch of any rows in one vectorised step, without randomness."""

    def gather(self, split: str, rows: np.ndarray) -> Batch:
        """Return the batch of the rows int64[batch]."""


@runtime_checkable
class DrawsExamples(Protocol):
    """Data whose examples are random: the draw is a function of the index and of an explicit seed."""

    def example(self, split: str, index: int, seed: int) -> Any:
        """Return example `index` drawn with `seed`."""


@runtime_checkable
class ExtendsModel(Protocol):
    """Data that adds to a model what its batches need, such as rows for tokens of its own."""

    def extend(self, model: nn.Module) -> None:
        """Add what is missing, nothing where all is there. Called before the data is used with a model, which has its
        weights: before training and before measuring.
        """


@runtime_checkable
class FollowsModel(Protocol):
    """Data that needs the model which training starts from, such as for the log-probabilities of a reference."""

    def follow(self, model: nn.Module) -> None:
        """Take of the model what is needed; called once before the first batch, also when training is gone on with.

        The model is on its device and has the weights that training started from.
        """


@runtime_checkable
class MakesRounds(Protocol):
    """Data whose rows to train on are made by the model that is trained, anew in every round.

    Core keeps the rows of every round in the stage's ledger "rounds" with the number of the round and the digest of the
    weights, and gives those of a round back wherever training is gone on with.
    """

    @property
    def round_updates(self) -> int:
        """How many updates are made on the rows of one round, before those of the next are made."""

    def round_parts(self, number: int) -> int:
        """Return in how many parts round 0, 1, 2, ... is made; a part is kept once it is done, and a stop comes between two."""

    def make_part(self, model: nn.Module, number: int, part: int) -> Sequence[Any]:
        """Return the rows of part 0, 1, 2, ... of a round as plain JSON: a function of the weights and of the two numbers.

        The model is on its device, in evaluation mode and without gradients; the global generators are seeded for this part.
        Work that shows progress (`Context.progress`) can be stopped there too; the part is then made again.
        """

    def take_round(self, number: int, rows: Sequence[Any]) -> None:
        """Make these rows, in the order in which they were made, the split that is trained on; other splits stay the same."""


@runtime_checkable
class ExplainsBatches(Protocol):
    """Data that can show what the model will see."""

    def explain(self, batch: Batch, row: int) -> Mapping[str, Sequence[Piece]]:
        """Return one row as named sequences of text pieces: {"inputs": [...], "targets": [...]}."""


@runtime_checkable
class SplitsBatches(Protocol):
    """Data whose batches can't be cut along the dimension named "batch" of every field.

    Needed for `fit.accumulate` above 1 by data that orders its own batches and has fields without that dimension: nodes
    and edges of graphs, a number for the whole batch.
    """

    def split_batch(self, batch: Batch, parts: int) -> Sequence[Batch]:
        """Cut one batch into micro-batches."""


@runtime_checkable
class PlansStage(Protocol):
    """The builder of a stage that can say before the run what the stage will take, and refuse what can't work.

    It is asked before the first stage of a recipe begins, by `run` and by `run --dry-run`.
    """

    def plan(self, config: Any, run: Run, /) -> Sequence[str]:
        """Return lines that a dry run shows. Nothing is trained, fetched or written, and the call takes seconds.

        Raises UsageError for settings that can't work. What asks for the product of a stage that has not run is not checked.
        """


@runtime_checkable
class ChecksData(Protocol):
    """An evaluator that knows without measuring whether it can measure on data: splits, vocabularies, abilities.

    It is asked before anything is trained, by `run` and by `run --dry-run`.
    """

    def check_data(self, data: Any, run: Run, /) -> None:
        """Look at data that is built and prepared, None where the stage has none, and at what the settings name.

        run: builds other data that the settings name.

        Raises UsageError or DataError that names the setting to change.
        """


@runtime_checkable
class ChecksModel(Protocol):
    """An evaluator that knows without measuring whether it can measure a model: what the model says of itself.

    It is asked before anything is trained, by `run` and by `run --dry-run`, of a model that a stage core/fit builds.
    """

    def check_model(self, model: Any, run: Run, /) -> None:
        """Look at the model as its component built it, without weights worth reading: it may lie on the meta device.

        Raises UsageError that names the setting to change.
        """


@runtime_checkable
class TellsNeeds(Protocol):
    """Settings that need a library which is not installed with the plugin; asked before the run."""

    def needs(self) -> Mapping[str, str]:
        """Return what installs each module that these values need: {"pyarrow": "omnitrain-language[parquet]"}."""


@runtime_checkable
class ChecksMachine(Protocol):
    """Settings that need more of the machine than a library, such as an environment variable with a key.

    They are asked before the first stage of a recipe begins, by `run` and by `run --dry-run`.
    """

    def check_machine(self) -> None:
        """Look whether it is there. Raises EnvironmentFault that names the setting and what to do."""


@runtime_checkable
class TellsArtifacts(Protocol):
    """The config of a stage that tells what the stage will leave, so that a wrong `from:` is refused before the run starts.

    The contract kit compares it with what the stage leaves.
    """

    def artifacts(self) -> Mapping[str, str | Use]:
        """Return the kind of every artifact by its name, or a field with the component that reads it.

        {"scores": "report", "model": self.model, "data": UseData(use="sums/saved")}: with a field, settings that a later
        stage writes beside `from:` are checked before the run too. Nothing for a stage that only reports: {}.
        """


class Objective(Protocol):
    """What turns a model and a batch into a loss. needs: the fields that it reads."""

    needs: Fields

    def __call__(self, model: nn.Module, batch: Batch, /) -> Loss: ...


@runtime_checkable
class Weighs(Protocol):
    """An objective that tells its weights before the forward pass, by part name; "" is the main loss.

    Needed for auxiliary losses with weights of their own under accumulation or several processes.
    """

    def weights(self, batch: Batch) -> Mapping[str, float]: ...


@runtime_checkable
class CarriesState(Protocol):
    """An objective for streams that continue: the state of one batch goes into the next."""

    def initial_state(self, model: nn.Module, batch: Batch) -> Any:
        """Return the state before the first batch: a tree of tensors."""

    def step(self, model: nn.Module, batch: Batch, state: Any) -> tuple[Loss, Any]:
        """Return the loss and the next state; the engine detaches and saves it."""


@runtime_checkable
class TrainsOnly(Protocol):
    """An objective whose loss is for a part of the model, such as the actor of an actor and a critic.

    core/fit makes its optimiser over that part, and the contract kit holds the loss to it: a gradient in all of it, none
    elsewhere.
    """

    def trained(self, model: nn.Module) -> Iterable[nn.Parameter]:
        """Return the parameters that the loss is for."""


class Evaluator(Protocol):
    """What measures something that can predict. It asks for an ability, not for a class."""

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation: ...


@runtime_checkable
class Generates(Protocol):
    """A predictor that continues prompts given as text.

    Its settings are keyword parameters; `omnitrain generate` takes them as flags and checks them against their types. With a
    parameter `on_text`, a function that is called as (number of the prompt, new text), text is shown while it is written.
    """

    def generate_text(self, prompts: Sequence[str], **settings: Any) -> list[str]: ...


@runtime_checkable
class Scores(Protocol):
    """A predictor that gives log-probabilities of target tokens under a batch."""

    def score(self, batch: Batch) -> Tensor:
        """Return log-probabilities float32[batch, length], zero where the batch has no loss."""


@runtime_checkable
class GroupsParameters(Protocol):
    """A model that names its own optimiser groups."""

    def parameter_groups(self) -> Sequence[Mapping[str, Any]]:
        """Return dictionaries with "params" and any of "lr_scale", "weight_decay"."""


@runtime_checkable
class SavesItself(Protocol):
    """A model with a saved form of its own; others are saved by `save_pretrained` or as safetensors."""

    def save(self, directory: Path) -> None: ...

    def restore(self, directory: Path) -> None: ...


@runtime_checkable
class FitsData(Protocol):
    """A model that can tell whether data fits it that it was not built for: of a later stage, or for an evaluation."""

    def fit_data(self, context: Context, grow: bool) -> None:
        """Compare with `context.facts`, what the data tells.

        grow: make room for what the data certainly adds (tokens behind those known). Raises UsageError or DataError for data
        of another model.
        """


@runtime_checkable
class NamesSaved(Protocol):
    """A model that says which state entries a checkpoint keeps (adapters and heads, not a frozen backbone)."""

    def saved_state(self) -> Mapping[str, Tensor]: ...

    def load_saved_state(self, state: Mapping[str, Tensor]) -> None: ...


def numpy_generator(seed: int) -> np.random.Generator:
    """Return the generator that omnitrain uses everywhere (PCG64) for a seed from `Context.seed`."""
    import numpy

    return numpy.random.Generator(numpy.random.PCG64(seed))
