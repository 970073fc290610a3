"""Learning within one task: epochs and steps, with theta_on trained or standing still (sections 3.1 and 3.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from omnitrain.api import Batch, BatchPlan, Data, Loss
from omnitrain.engine import Engine, in_order, make_optimiser, set_learning_rate, to_device
from omnitrain_lae.configs.stages import ContinualConfig
from omnitrain_lae.data.feeding import FeatureData, TaskFeed, can_be_cached, steps_per_epoch
from omnitrain_lae.models.learner import Learner
from omnitrain_lae.objectives import local_cross_entropy
from omnitrain_lae.paper.accumulation import decay_and_rule
from omnitrain_lae.paper.schedules import learning_rate_at, scaled_learning_rate
from omnitrain_lae.stages.losslog import LossLog
from omnitrain_tuning.consolidation import Consolidation


class Task:
    """What one task is: where it is learned from and which logits its loss is over.

    number: of the task, from 0. sizes: classes of each task.
    """

    def __init__(self, config: ContinualConfig, data: Data, number: int, sizes: Sequence[int]) -> None:
        self.config, self.data, self.number = config, data, number
        self.joint = config.training == "joint"
        self.over_all = self.joint or config.loss == "seen"
        self.split = "train" if self.joint else f"train/{number + 1}"
        self.classes = list(sizes) if self.joint else [sizes[number]]
        self.first = 0 if self.joint else sum(sizes[:number])

    def steps_per_epoch(self) -> int:
        """Return the steps of an epoch. Raises DataError when dropping the last batch leaves none."""
        return steps_per_epoch(len(self.data.examples(self.split)), self.config.batch_size, self.config.drop_last, self.split)

    def decay_and_rule(self) -> tuple[float, str]:
        """Return the decay of the offline experts at each step, and the rule that it follows."""
        settings = self.config.accumulation
        if settings is None:
            return 1.0, ""
        steps = self.steps_per_epoch() * self.config.epochs
        return decay_and_rule(settings.decay, self.config.batch_size, settings.reference_batch, steps, settings.horizon_tasks)

    def loss(self, learner: Learner, features: Tensor, labels: Tensor) -> Loss:
        """Return the cross entropy over the logits of this task, or over all that there are."""
        if self.over_all:
            return local_cross_entropy(learner.logits(features), labels, 0)
        return local_cross_entropy(learner.heads[-1](features), labels, self.first)

    def features(self, learner: Learner, engine: Engine) -> FeatureData:
        """Run the backbone once over the task's examples."""
        features, labels = [], []
        for raw in in_order(self.data, self.split, self.config.evaluate_batch_size):
            batch = to_device(raw, engine.device)
            with torch.no_grad(), engine.autocast():
                features.append(learner.features(batch))
            labels.append(batch["labels"])
        return FeatureData(torch.cat(features), torch.cat(labels))


class TaskTraining:
    """The steps of one task, with an optimiser made anew and a feed of its own.

    learner: with the task's head. seed: of the order of examples. losses: where each step is noted.
    Raises DataError when the task is smaller than a batch.
    """

    def __init__(
        self,
        task: Task,
        learner: Learner,
        engine: Engine,
        seed: int,
        losses: LossLog,
        consolidation: Consolidation | None = None,
    ) -> None:
        self.task, self.learner, self.losses = task, learner, losses
        self._engine, self._seed, self._consolidation = engine, seed, consolidation
        config = self._config = task.config
        rate = config.learning_rate
        self.rate = rate if rate is not None else scaled_learning_rate(config.base_learning_rate or 0.0, config.batch_size)
        self.optimiser = make_optimiser(config.optimiser, [{"params": self._parameters()}], self.rate)
        self.decay, _ = task.decay_and_rule()
        self.per_epoch = task.steps_per_epoch()
        self.step, self.steps = 0, config.epochs * self.per_epoch
        # Whether theta_on stands still now; None before the first step.
        self.frozen: bool | None = None
        self._feed: TaskFeed | None = None
        self._cached = False

    def _parameters(self) -> list[nn.Parameter]:
        # Old heads get no gradient from the local loss; left out, weight decay can't shrink them either.
        heads = self.learner.heads if self.task.over_all else self.learner.heads[-1:]
        parameters = [parameter for head in heads for parameter in head.parameters()]
        if self._config.tune == "pet":
            parameters += self.learner.online_parameters()
        elif self._config.tune == "backbone":
            parameters += self.learner.backbone_parameters()
        return parameters

    def _stands_still(self, epoch: int) -> bool:
        """Whether nothing below the head is trained in an epoch: in the first ones of every task but the first."""
        if self._config.tune == "heads":
            return True
        return self._config.tune == "pet" and self.task.number > 0 and epoch < self._config.freeze_epochs

    def enter(self, frozen: bool) -> TaskFeed:
        """Begin (or come back to) a stretch of epochs with theta_on frozen, or not; return its feed."""
        config, task = self._config, self.task
        self.frozen = frozen
        if config.tune == "pet":
            self.learner.freeze_online(frozen)
        self.learner.train(not frozen)
        cached = frozen and config.cache_features and can_be_cached(task.data)
        if self._feed is None or cached or self._cached:
            self.close()
            plan = BatchPlan(config.batch_size, self._seed)
            if cached:
                self._feed = TaskFeed(task.features(self.learner, self._engine), "train", plan, config.drop_last)
            else:
                self._feed = TaskFeed(task.data, task.split, plan, config.drop_last, config.workers)
        self._cached = cached
        self._feed.seek(self.step)
        return self._feed

    def one_step(self) -> None:
        """Forward with theta_on, backward, optimiser step, accumulation.

        Raises NumericalError after too many bad steps in a row.
        """
        config, feed = self._config, self._feed
        frozen = self._stands_still(self.step // self.per_epoch)
        if feed is None or frozen != self.frozen:
            feed = self.enter(frozen)
        given = feed.next()
        batch = to_device(given, self._engine.device)
        rate = learning_rate_at(self.step, self.steps, self.rate, config.schedule, config.schedule_floor)
        set_learning_rate(self.optimiser, rate)
        features = self.features(batch)
        with self._engine.autocast():
            loss = self.task.loss(self.learner, features, batch["labels"])
        total = loss.total
        if not frozen:
            penalty = self._consolidation.penalty() if self._consolidation is not None else None
            for extra in (self.learner.auxiliary(), penalty):
                if extra is not None:
                    total = total + extra * loss.weight
        self._engine.backward(total)
        update = self._engine.update(self.optimiser, 1.0 / float(loss.weight), None, loss.total)
        self.step += 1
        if update.applied is not False and config.accumulation is not None and self.learner.offline_names():
            self.learner.accumulate(self.decay, config.accumulation.chain)
        self.losses.add(loss, update.applied, self.task.number + 1, given)

    def features(self, batch: Batch) -> Tensor:
        """Return the features float[batch, width] of a step; a frozen stretch builds no graph for them."""
        if "features" in batch:
            kept: Tensor = batch["features"]
            return kept
        with self._engine.autocast(), torch.set_grad_enabled(not self.frozen):
            return self.learner.features(batch)

    def close(self) -> None:
        """End the feed's worker processes, if any."""
        if self._feed is not None:
            self._feed.close()

    def state_dict(self) -> dict[str, Any]:
        """Return everything that decides how the task goes on."""
        return {
            "step": self.step,
            "frozen": self.frozen,
            "optimiser": self.optimiser.state_dict(),
            "feed": self._feed.state_dict() if self._feed is not None else None,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Come back to the stretch of epochs in which the state was taken, at the same batch."""
        self.step = int(state["step"])
        self.optimiser.load_state_dict(state["optimiser"])
        if state["feed"] is not None and self.step < self.steps:
            self.enter(bool(state["frozen"])).load_state_dict(state["feed"])
