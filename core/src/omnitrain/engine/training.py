"""A training inside a stage: over built parts, with seeds, lines, checkpoints and a guard of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from omnitrain.api.data import Batch, Data
from omnitrain.api.protocols import Feed
from omnitrain.api.run import Run
from omnitrain.engine.engine import Engine
from omnitrain.engine.loop import Extras, Loop, Updated, plan_batches
from omnitrain.engine.memory import explained_shortage
from omnitrain.engine.optimisers import MovingAverage
from omnitrain.engine.parts import Parts
from omnitrain.engine.rng import isolated, rng_state, set_rng_state
from omnitrain.engine.rounds import training_feed
from omnitrain.engine.settings import FitSettings
from omnitrain.engine.validation import Validation


class Trainer:
    """The loop of core/fit for a stage that trains among other things, in one go or bit by bit with other data each time.

    run: a part of the stage's run, such as `run.part("cloning")`. Seeds, folder and checkpoints are then the part's, and its
    lines carry the stage "train/cloning" (split "train", and "valid" where the data has that split), so that the stage's own
    lines and its `Journal` are left alone. The global generators are left as they were.
    settings: as of core/fit: schedule, clipping, average, precision, checkpoints and what is measured on the split "valid"
    (evaluate_batches 0: nothing). checkpoint_every 0 saves at a stop, at the last update and where the stage fails only,
    and what was trained since is trained again after a kill.
    split: what is trained on. feed: makes the batches of data, where core's order of them is not what is wanted.
    optimiser: over the model's parameters, in place of that of the settings. rate: the learning rate of update 1, 2, ..., in
    place of the schedule. clip_value: bound of each entry of the gradient. after: called after every update, with its loss.

        with Trainer(run.part("rounds"), Parts(data, model, objective), settings) as trainer:
            for number in range(trainer.step // 100, rounds):
                trainer.until(100 * (number + 1), generate(number))
    """

    def __init__(
        self,
        run: Run,
        parts: Parts,
        settings: FitSettings,
        *,
        split: str = "train",
        feed: Callable[[Data], Feed] | None = None,
        optimiser: torch.optim.Optimizer | None = None,
        rate: Callable[[int], float] | None = None,
        clip_value: float | None = None,
        after: Callable[[Updated], None] | None = None,
    ) -> None:
        self._settings, self._parts = settings, replace(parts)
        engine = Engine(settings.precision, settings.device, settings.compile)
        plan = plan_batches(settings, engine, run.seed("data"))
        self._engine = engine

        def own_order(data: Data) -> Feed:
            return training_feed(run, engine, replace(self._parts, data=data), split, plan, settings)

        parts.ready(engine.device)
        self._feed = _Replaceable(feed or own_order, parts.data)
        validation = Validation(run, self._parts, engine, settings)
        extras = Extras(optimiser, rate, clip_value, after, parts.objective_use)
        # The part's own randomness begins here, and goes on with every call.
        with isolated(run.seed("training") + engine.rank):
            self._loop = Loop(settings, run, engine, parts.model, parts.objective, self._feed, validation, extras)
            self._loop.resume()
            self._random = rng_state()
        # Whether the last call of `until` did not come to its end: the loop then kept what it could.
        self._failed = False

    @property
    def step(self) -> int:
        """How many updates are done, also those before a checkpoint that was gone on from."""
        return self._loop.step

    @property
    def finished(self) -> bool:
        """Whether all planned updates are done, or training was ended early."""
        return self._loop.step >= self._settings.steps or self._loop.finished_early

    @property
    def model(self) -> nn.Module:
        """What is trained."""
        return self._parts.model

    @property
    def average(self) -> MovingAverage | None:
        """The moving average of the parameters, where the settings ask for one."""
        return self._loop.average

    def until(self, step: int | None = None, data: Data | None = None) -> None:
        """Train up to an update, by default the last, and leave a checkpoint; what is done already is not done again.

        data: what to go on with. Data of the same fingerprint goes on where it stood, also after a resume; other data begins
        anew. Optimiser, schedule and average go on in either case.
        Raises Stopped after saving when asked to stop, NumericalError after too many bad updates in a row, DataError when the
        data ends before.
        """
        settings, loop = self._settings, self._loop
        if data is not None:
            self._parts.data = data
            self._feed.replace(data)
        first, self._failed = loop.step, True
        with isolated():
            set_rng_state(self._random)
            try:
                with explained_shortage(settings.batch_size // self._engine.world, settings.accumulate):
                    loop.until(settings.steps if step is None else min(step, settings.steps))
                if loop.step > first and (settings.checkpoint_every or self.finished):
                    loop.save_once()
                self._failed = False
            finally:
                self._random = rng_state()

    def close(self) -> None:
        """End the data's worker processes, if any."""
        self._feed.close()

    def __enter__(self) -> Trainer:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: object) -> None:
        if isinstance(problem, Exception) and not self._failed:
            with isolated():
                set_rng_state(self._random)
                self._loop.rescue(problem)
        self.close()


def train(run: Run, parts: Parts, settings: FitSettings, **options: Any) -> Trainer:
    """Train parts inside a stage, from the part's last checkpoint or from the start, to the end; see `Trainer`.

    A stage that is resumed behind this training calls it again: it then only loads its last checkpoint.
    """
    with Trainer(run, parts, settings, **options) as trainer:
        trainer.until()
    return trainer


class _Replaceable:
    """A feed whose data may be replaced between two updates. Its state names the data by its fingerprint."""

    def __init__(self, make: Callable[[Data], Feed], data: Data) -> None:
        self._make, self._data = make, data
        self._feed = make(data)
        # Of a checkpoint, until the data comes that it is about.
        self._waiting: Mapping[str, Any] | None = None

    def replace(self, data: Data) -> None:
        if data is self._data:
            return
        state = self.state_dict()
        self._feed.close()
        self._data, self._feed, self._waiting = data, self._make(data), None
        if state["fingerprint"] == data.fingerprint:
            self._feed.load_state_dict(state["feed"])

    @property
    def making_round(self) -> bool:
        return bool(getattr(self._feed, "making_round", False))

    def next(self) -> list[Batch] | None:
        self._waiting = None
        return self._feed.next()

    def state_dict(self) -> dict[str, Any]:
        if self._waiting is not None:
            return dict(self._waiting)
        return {"fingerprint": self._data.fingerprint, "feed": self._feed.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if state["fingerprint"] == self._data.fingerprint:
            self._feed.load_state_dict(state["feed"])
        else:
            self._waiting = state

    def close(self) -> None:
        self._feed.close()
