"""Learning, Accumulation, Ensemble: the loop over tasks (algorithm box of the paper), resumable anywhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, cast

import numpy as np
from torch import Tensor, nn

from omnitrain.api import Data, Progress, Run
from omnitrain.engine import Engine, Journal, in_order, isolated, to_device
from omnitrain.errors import Stopped, UsageError
from omnitrain_lae.configs.stages import ContinualConfig
from omnitrain_lae.evaluators.answers import ENSEMBLE, Answered, AnswerSettings, answers_after
from omnitrain_lae.models.learner import Learner, set_means
from omnitrain_lae.stages.losslog import LossLog
from omnitrain_lae.stages.training import Task, TaskTraining
from omnitrain_tuning.consolidation import Consolidation
from omnitrain_tuning.metrics import incremental_accuracy


class Learning:
    """One run over all tasks; a stopped one goes on to the bit.

    sizes: classes of each task. task_ended: called after each task with its answers, before the next one begins.
    """

    def __init__(
        self,
        config: ContinualConfig,
        learner: Learner,
        data: Data,
        sizes: list[int],
        run: Run,
        engine: Engine,
        task_ended: Callable[[Answered], None] | None = None,
    ) -> None:
        self.config, self.learner, self.data, self.sizes = config, learner, data, sizes
        self.stage, self.engine, self._task_ended = run, engine, task_ended
        self.number, self.tasks = 0, 1 if config.training == "joint" else len(sizes)
        self.results: list[Answered] = []
        self.training: TaskTraining | None = None
        self.losses = LossLog(run, config.log_every, config.skip_nonfinite)
        shared = learner.backbone_parameters() if config.tune == "backbone" else learner.online_parameters()
        self.consolidation = Consolidation(shared, config.ewc.strength) if config.ewc is not None else None
        self.journal = Journal(run, self.state_dict, self.load_state_dict, keep=config.keep_checkpoints)

    def run(self) -> list[Answered]:
        """Learn all tasks, from the last checkpoint or from the start, and return the answers after each.

        Raises Stopped after saving a checkpoint when asked to stop, NumericalError after too many bad steps.
        """
        self.journal.resume()
        with self.stage.progress("learning", self.tasks) as bar:
            try:
                bar.advance(self.number)
                while self.number < self.tasks:
                    self._learn(Task(self.config, self.data, self.number, self.sizes), bar)
            except Stopped:
                self.save()
                self.journal.wait()
                raise
            finally:
                if self.training is not None:
                    self.training.close()
        self.journal.wait()
        return self.results

    def _learn(self, task: Task, bar: Progress) -> None:
        if len(self.learner.heads) <= self.number:
            self._begin(task)
        if self.config.classifier == "linear":
            self._train(task, bar)
        else:
            self._set_means(task)
        result = self._evaluate(len(self.sizes) - 1 if task.joint else self.number)
        self.results.append(result)
        self._consolidate(task)
        values = {name: incremental_accuracy(result.accuracies(name), result.counts()) for name in result.answers}
        accuracy = values.pop(ENSEMBLE)
        self.stage.log(self.losses.total, {"accuracy": accuracy, **values, "task": self.number + 1}, split="seen")
        if self._task_ended is not None:
            self._task_ended(result)
        trained, self.training = self.training, None
        if trained is not None:
            trained.close()
        self.number += 1
        self.save()
        bar.advance(0 if trained is not None else 1, accuracy=accuracy)

    def _begin(self, task: Task) -> None:
        """Add the head, and make theta_off at the start of the second task."""
        settings = self.config.accumulation
        with isolated(self.stage.seed(f"head {task.number + 1}")):
            for classes in task.classes:
                self.learner.add_head(classes)
            if task.number == 1 and settings is not None and self.config.tune == "pet":
                self.learner.start_offline(settings.experts)
                decay, rule = task.decay_and_rule()
                self.stage.event("accumulation", decay=decay, rule=rule)

    def _opened(self, task: Task) -> TaskTraining:
        """Return the training of a task as it is at its beginning."""
        seed = self.stage.seed(f"order {task.number + 1}")
        return TaskTraining(task, self.learner, self.engine, seed, self.losses, self.consolidation)

    def _train(self, task: Task, bar: Progress) -> None:
        training = self.training = self.training or self._opened(task)
        begun, first, every = time.perf_counter(), training.step, self.config.checkpoint_every
        bar.advance(first / training.steps)
        while training.step < training.steps:
            training.one_step()
            if every and training.step % every == 0 and training.step < training.steps:
                self.save()
            bar.advance(1 / training.steps)
        self.losses.write(task.number + 1)
        if training.step > first:
            seconds = time.perf_counter() - begun
            self.stage.timing(self.losses.total, {"seconds": seconds, "steps_per_second": (training.step - first) / seconds})
            self.save()  # measuring the task may fail

    def _set_means(self, task: Task) -> None:
        self.learner.eval()
        kept = task.features(self.learner, self.engine)
        rows = kept.gather("train", np.arange(len(kept.examples("train"))))
        heads = self.learner.heads[-len(task.classes) :]
        set_means(cast(list[nn.Linear], list(heads)), rows["features"], rows["labels"], task.first)

    def _evaluate(self, after: int) -> Answered:
        config = self.config
        settings = AnswerSettings(self.sizes, config.evaluate_batch_size, config.only_offline, config.keep_logits)
        with isolated(self.stage.seed("evaluation")):
            return answers_after(self.learner, self.data, after, settings, self.engine, self.stage.stop_if_asked)

    def _consolidate(self, task: Task) -> None:
        if self.consolidation is None or self.config.ewc is None:
            return
        self.learner.freeze_online(False)
        single = islice(in_order(self.data, task.split, 1), self.config.ewc.samples)

        def loss(batch: Any) -> Tensor:
            features = self.learner.features(batch)
            with self.engine.autocast():
                return task.loss(self.learner, features, batch["labels"]).total

        self.consolidation.consolidate((to_device(batch, self.engine.device) for batch in single), loss)

    def save(self) -> None:
        """Take a checkpoint of the present step."""
        self.losses.settle()
        # Tasks without steps need numbers of their own.
        self.journal.save(self.losses.total + self.number)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that decides how learning goes on."""
        return {
            "learner": self.learner.state(self.config.tune == "backbone"),
            "training": self.training.state_dict() if self.training is not None else None,
            "results": [result.state() for result in self.results],
            "consolidation": self.consolidation.state_dict() if self.consolidation is not None else {},
            "number": self.number,
            "losses": self.losses.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.learner.load_state(state["learner"])
        self.results = [Answered.of_state(result) for result in state["results"]]
        self.number = int(state["number"])
        self.losses.load_state_dict(state["losses"])
        if self.consolidation is not None:
            self.consolidation.load_state_dict(state["consolidation"])
        if state["training"] is not None:
            self.training = self._opened(Task(self.config, self.data, self.number, self.sizes))
            self.training.load_state_dict(state["training"])


def check_engine(engine: Engine) -> None:
    """Refuse several processes. Raises UsageError."""
    if engine.world > 1:
        raise UsageError("lae/continual learns in one process; start it without torchrun.")
