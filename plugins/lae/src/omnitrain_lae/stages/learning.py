"""Learning, Accumulation, Ensemble: the loop over tasks, epochs and steps (algorithm box of the paper), resumable anywhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from omnitrain.api import BatchPlan, Data, Loss
from omnitrain.engine import (
    Checkpoints,
    Engine,
    isolated,
    make_optimiser,
    rng_state,
    set_learning_rate,
    set_rng_state,
    to_device,
)
from omnitrain.errors import Stopped, UsageError
from omnitrain_lae.configs.stages import ContinualConfig
from omnitrain_lae.data.feeding import FeatureData, TaskFeed, can_be_cached, in_order, steps_per_epoch
from omnitrain_lae.evaluators.answers import Answered, AnswerSettings, answers_after
from omnitrain_lae.models.learner import Learner, set_means
from omnitrain_lae.objectives import local_cross_entropy
from omnitrain_lae.paper.accumulation import decay_and_rule
from omnitrain_lae.paper.ewc import Consolidation
from omnitrain_lae.paper.metrics import incremental_accuracy
from omnitrain_lae.paper.schedules import learning_rate_at, scaled_learning_rate
from omnitrain_lae.stages.losslog import LossLog

SHOW_INTERVAL_S = 0.5


class _Trainable:
    """What is trained in a task, in the form that the engine makes an optimiser of."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self._parameters = parameters

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": self._parameters}]


class Learning:
    """One run over all tasks. Everything that a resumed run needs is in `state_dict` and comes back when it starts.

    task_ended: called after each task with its answers, before the next one begins.
    """

    def __init__(
        self,
        config: ContinualConfig,
        learner: Learner,
        data: Data,
        sizes: list[int],
        run: Any,
        engine: Engine,
        task_ended: Callable[[Answered], None] | None = None,
    ) -> None:
        self.config, self.learner, self.data, self.sizes = config, learner, data, sizes
        self.run_, self.engine, self._task_ended = run, engine, task_ended
        self.joint = config.training == "joint"
        self.phases = 1 if self.joint else len(sizes)
        self.results: list[Answered] = []
        self.task = self.step = self.total = self.updates = self.averaged = 0
        self.begun = False
        self.optimiser: torch.optim.Optimizer | None = None
        self.feed: TaskFeed | None = None
        self._frozen: bool | None = None
        self.losses = LossLog(run, config.log_every, config.skip_nonfinite)
        self.decay = 1.0
        shared = learner.backbone_parameters() if config.tune == "backbone" else learner.online_parameters()
        self.consolidation = Consolidation(shared, config.ewc.strength) if config.ewc is not None else None
        self.checkpoints = Checkpoints(
            run.directory / "checkpoints",
            run.identity,
            config.keep_checkpoints,
            warn=lambda text: run.event("checkpoint", note=text),
        )
        rate = config.learning_rate
        self.rate = rate if rate is not None else scaled_learning_rate(config.base_learning_rate or 0.0, config.batch_size)

    def run(self) -> list[Answered]:
        """Learn all tasks, from the last checkpoint or from the start, and return the answers after each.

        Raises Stopped after saving a checkpoint when asked to stop, NumericalError after too many bad steps.
        """
        self._resume()
        with self.run_.progress("learning", self.phases) as bar:
            try:
                while self.task < self.phases:
                    self._learn_task(bar)
            except Stopped:
                self.save()
                self.checkpoints.wait()
                raise
            except BaseException:
                self.checkpoints.settle()
                raise
            finally:
                self._close_feed()
        self.checkpoints.wait()
        return self.results

    def _learn_task(self, bar: Any) -> None:
        if not self.begun:
            self._begin_task()
        if self.config.classifier == "linear":
            self._train(bar)
        else:
            self._set_means()
        after = len(self.sizes) - 1 if self.joint else self.task
        result = self._evaluate(after)
        self.results.append(result)
        if self.consolidation is not None:
            self._consolidate()
        self._log_results(result)
        if self._task_ended is not None:
            self._task_ended(result)
        self._close_feed()
        self.optimiser, self.feed, self._frozen = None, None, None
        self.task, self.step, self.begun = self.task + 1, 0, False
        self.save()
        bar.advance(1, accuracy=incremental_accuracy(result.accuracies(), result.counts()))

    def _begin_task(self) -> None:
        """Add the head, make theta_off at the start of the second task, and start a fresh optimiser."""
        config, learner = self.config, self.learner
        with isolated(self.run_.seed(f"head {self.task + 1}")):
            for classes in self.sizes if self.joint else [self.sizes[self.task]]:
                learner.add_head(classes)
            if self.task == 1 and config.accumulation is not None and config.tune == "pet":
                learner.start_offline(config.accumulation.experts)
                decay, rule = self._decay_and_rule()
                self.run_.event("accumulation", decay=decay, rule=rule)
        self.begun = True

    def _open(self) -> None:
        """Make the optimiser and the feed of the current task, as they are at its beginning."""
        parameters: list[nn.Parameter] = []
        # Old heads get no gradient from the local loss; left out, weight decay can't shrink them either.
        for head in self.learner.heads if self._over_all else self.learner.heads[-1:]:
            parameters += list(head.parameters())
        if self.config.tune == "pet":
            parameters += self.learner.online_parameters()
        elif self.config.tune == "backbone":
            parameters += self.learner.backbone_parameters()
        self.decay, _ = self._decay_and_rule()
        self.optimiser = make_optimiser(self.config.optimiser, cast(nn.Module, _Trainable(parameters)), self.rate)
        self.feed = None
        self._frozen = None
        self.steps = self._new_feed(self.data).steps

    @property
    def split(self) -> str:
        """The split that is learned from now: that of the current task only."""
        return "train" if self.joint else f"train/{self.task + 1}"

    @property
    def _over_all(self) -> bool:
        return self.joint or self.config.loss == "seen"

    def _new_feed(self, data: Data) -> TaskFeed:
        plan = BatchPlan(self.config.batch_size, self.run_.seed(f"order {self.task + 1}"))
        split, workers = ("train", 0) if isinstance(data, FeatureData) else (self.split, self.config.workers)
        return TaskFeed(data, split, plan, self.config.drop_last, workers)

    def _is_frozen(self, epoch: int) -> bool:
        """Whether nothing below the head is trained in an epoch: in the first ones of every task but the first."""
        if self.config.tune == "heads":
            return True
        return self.config.tune == "pet" and self.task > 0 and epoch < self.config.freeze_epochs

    def _enter(self, frozen: bool) -> None:
        """Begin (or come back to) a stretch of epochs with theta_on frozen, or not."""
        self._frozen = frozen
        if self.config.tune == "pet":
            self.learner.freeze_online(frozen)
        self.learner.train(not frozen)
        cached = frozen and self.config.cache_features and can_be_cached(self.data)
        if self.feed is None or cached or isinstance(self._source, FeatureData):
            self._close_feed()
            self._source = self._cached() if cached else self.data
            self.feed = self._new_feed(self._source)
        self.feed.seek(self.step)

    _source: Data | None = None

    def _cached(self) -> FeatureData:
        """Run the backbone once over the task's examples."""
        features, labels = [], []
        for raw in in_order(self.data, self.split, self.config.evaluate_batch_size):
            batch = to_device(raw, self.engine.device)
            with torch.no_grad(), self.engine.autocast():
                features.append(self.learner.features(batch))
            labels.append(batch["labels"])
        return FeatureData(torch.cat(features), torch.cat(labels))

    def _train(self, bar: Any) -> None:
        if self.optimiser is None:
            self._open()
        assert self.optimiser is not None
        steps = self.config.epochs * self.steps
        per_epoch, shown, begun, first = self.steps, time.perf_counter(), time.perf_counter(), self.step
        while self.step < steps:
            frozen = self._is_frozen(self.step // per_epoch)
            if frozen != self._frozen:
                self._enter(frozen)
            self.one_step(steps)
            every = self.config.checkpoint_every
            if every and self.step % every == 0 and self.step < steps:
                self.save()
            now = time.perf_counter()
            if now - shown > SHOW_INTERVAL_S:
                bar.show(self.task + self.step / steps)
                shown = now
            if self.run_.should_stop() and self.step < steps:
                self.run_.stop_if_asked()
        self.losses.write(self.total, self.task + 1, last=True)
        if self.step > first:
            seconds = time.perf_counter() - begun
            self.run_.timing(self.total, {"seconds": seconds, "steps_per_second": (self.step - first) / seconds})

    def one_step(self, steps: int) -> None:
        """Forward with theta_on, backward, optimiser step, accumulation. steps: of the task, for the schedule."""
        assert self.feed is not None
        assert self.optimiser is not None
        config = self.config
        batch = to_device(self.feed.next(), self.engine.device)
        floor = config.schedule_floor
        set_learning_rate(self.optimiser, learning_rate_at(self.step, steps, self.rate, config.schedule, floor))
        loss = self._loss(batch, self._features(batch))
        total = loss.total
        auxiliary = None if self._frozen else self.learner.auxiliary()
        penalty = self.consolidation.penalty() if self.consolidation is not None and not self._frozen else None
        for extra in (auxiliary, penalty):
            if extra is not None:
                total = total + extra * loss.weight
        self.engine.backward(total)
        update = self.engine.update(self.optimiser, 1.0 / float(loss.weight), None, loss.total)
        self.step += 1
        self.total += 1
        self._account(loss, update.applied)

    def _features(self, batch: Mapping[str, Any]) -> Tensor:
        if "features" in batch:
            cached: Tensor = batch["features"]
            return cached
        with self.engine.autocast():
            if not self._frozen:
                return self.learner.features(batch)
            with torch.no_grad():
                return self.learner.features(batch)

    def _loss(self, batch: Mapping[str, Any], features: Tensor) -> Loss:
        with self.engine.autocast():
            if self._over_all:
                logits = self.learner.logits(features)
                return local_cross_entropy(logits, batch["labels"], 0)
            logits = self.learner.heads[-1](features)
            return local_cross_entropy(logits, batch["labels"], sum(self.sizes[: self.task]))

    def _account(self, loss: Loss, applied: Tensor | bool) -> None:
        """Move the offline experts after every applied step, and keep the loss for the log."""
        if applied is not False:
            self.updates += 1
            if self.learner.offline_names() and self.config.accumulation is not None:
                self.learner.accumulate(self.decay, self.config.accumulation.chain)
                self.averaged += 1
        self.losses.add(loss, applied, self.total, self.task + 1)

    def _decay_and_rule(self) -> tuple[float, str]:
        settings, batch = self.config.accumulation, self.config.batch_size
        if settings is None:
            return 1.0, ""
        count = len(self.data.examples(self.split))
        steps = steps_per_epoch(count, batch, self.config.drop_last, self.split) * self.config.epochs
        return decay_and_rule(settings.decay, batch, settings.reference_batch, steps, settings.horizon_tasks)

    def _set_means(self) -> None:
        self.learner.eval()
        cached = self._cached()
        rows = cached.gather("train", np.arange(len(cached.examples("train"))))
        heads = self.learner.heads if self.joint else self.learner.heads[-1:]
        first = 0 if self.joint else sum(self.sizes[: self.task])
        set_means(cast(list[nn.Linear], list(heads)), rows["features"], rows["labels"], first)

    def _consolidate(self) -> None:
        assert self.consolidation is not None
        assert self.config.ewc is not None
        self.learner.freeze_online(False)
        single = islice(in_order(self.data, self.split, 1), self.config.ewc.samples)

        def loss(batch: Any) -> Tensor:
            return self._loss(batch, self.learner.features(batch)).total

        self.consolidation.consolidate((to_device(batch, self.engine.device) for batch in single), loss)

    def _evaluate(self, after: int) -> Answered:
        config = self.config
        settings = AnswerSettings(self.sizes, config.evaluate_batch_size, config.only_offline, config.keep_logits)
        with isolated(self.run_.seed("evaluation")):
            return answers_after(self.learner, self.data, after, settings, self.engine, self._tick)

    def _tick(self, count: int) -> None:
        self.run_.stop_if_asked()

    def _log_results(self, result: Answered) -> None:
        values = {name: incremental_accuracy(result.accuracies(name), result.counts()) for name in result.answers}
        self.run_.log(self.total, {"accuracy": values.pop("ensemble"), **values, "task": self.task + 1}, split="seen")

    def save(self) -> None:
        """Take a checkpoint of the present step."""
        self.losses.settle()
        self.run_.sync_records()
        # Tasks without steps need numbers of their own.
        self.checkpoints.save(self.total + self.task, self.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Return everything that decides how learning goes on."""
        return {
            "learner": self.learner.state(self.config.tune == "backbone"),
            "optimiser": self.optimiser.state_dict() if self.optimiser is not None else {},
            "random": rng_state(),
            "results": [result.state() for result in self.results],
            "consolidation": self.consolidation.state_dict() if self.consolidation is not None else {},
            "where": {
                "task": self.task,
                "step": self.step,
                "total": self.total,
                "updates": self.updates,
                "averaged": self.averaged,
                "begun": self.begun,
                "losses": self.losses.state_dict(),
                "feed": self.feed.state_dict() if self.feed is not None else None,
                "lines": list(self.run_.line_counts()),
            },
        }

    def _resume(self) -> None:
        restored = self.checkpoints.load()
        if restored is None:
            self.run_.rewind(0, 0)
            return
        parts = restored.parts
        where = parts["where"]
        self.learner.load_state(parts["learner"])
        self.results = [Answered.of_state(state) for state in parts["results"]]
        self.task, self.step, self.total = int(where["task"]), int(where["step"]), int(where["total"])
        self.updates, self.averaged, self.begun = int(where["updates"]), int(where["averaged"]), bool(where["begun"])
        if self.consolidation is not None:
            self.consolidation.load_state_dict(parts["consolidation"])
        if self.begun and parts["optimiser"]:
            self._open()
            assert self.optimiser is not None
            self.optimiser.load_state_dict(parts["optimiser"])
            self._go_on(where)
        self.losses.load_state_dict(where["losses"])
        self.run_.rewind(*where["lines"])
        set_rng_state(parts["random"])
        self.run_.event("resumed", task=self.task + 1, step=self.step)

    def _go_on(self, where: Mapping[str, Any]) -> None:
        """Come back to the stretch of epochs in which the checkpoint was taken, at the same batch."""
        last = self.config.epochs * self.steps
        if where["feed"] is None or self.step >= last:
            return
        # The stretch that the next step belongs to may begin with it; then the loop enters it.
        before = self._is_frozen(max(self.step - 1, 0) // self.steps)
        self._enter(before)
        assert self.feed is not None
        self.feed.load_state_dict(where["feed"])

    def _close_feed(self) -> None:
        if self.feed is not None:
            self.feed.close()


def check_engine(engine: Engine) -> None:
    """Refuse several processes. Raises UsageError."""
    if engine.world > 1:
        raise UsageError("lae/continual learns in one process; start it without torchrun.")
