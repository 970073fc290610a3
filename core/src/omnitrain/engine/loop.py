"""The ordinary training loop: micro-batches, updates, logs, evaluations, checkpoints, stops."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from omnitrain.api.data import Batch
from omnitrain.api.protocols import BatchPlan, CarriesState, Feed, Objective, TrainsOnly, Weighs
from omnitrain.api.results import Loss
from omnitrain.api.run import Run
from omnitrain.engine.batches import example_ids, to_device
from omnitrain.engine.engine import Engine, Update
from omnitrain.engine.guard import Guard
from omnitrain.engine.journal import stage_checkpoints
from omnitrain.engine.losses import LossCheck
from omnitrain.engine.misfits import AT_FIRST, UNLIKE
from omnitrain.engine.models import load_model_state, model_state
from omnitrain.engine.optimisers import MovingAverage, make_optimiser, make_schedule, set_learning_rate
from omnitrain.engine.rng import rng_state, set_rng_state
from omnitrain.engine.settings import FitSettings
from omnitrain.engine.state import map_tree
from omnitrain.engine.tally import MEMBER, Tally
from omnitrain.engine.validation import Validation, check_metric
from omnitrain.errors import DataError, NumericalError, Stopped, UsageError
from omnitrain.runs.progress import Pace

SHOW_INTERVAL_S = 0.5


@dataclass(frozen=True, slots=True)
class Updated:
    """What became of an update. losses: of its micro-batches on this process. norm, applied: see `Update`."""

    step: int
    losses: tuple[Loss, ...]
    norm: Tensor | float
    applied: Tensor | bool

    def mean(self) -> float:
        """Return the mean loss; on a GPU this waits for it."""
        return sum(float(loss.total.detach()) for loss in self.losses) / sum(float(loss.weight) for loss in self.losses)


@dataclass(frozen=True)
class Extras:
    """What a training inside a stage may do in its own way; see `omnitrain.engine.Trainer`."""

    optimiser: torch.optim.Optimizer | None = None
    rate: Callable[[int], float] | None = None
    clip_value: float | None = None
    after: Callable[[Updated], None] | None = None
    objective_use: str = ""


def plan_batches(settings: FitSettings, engine: Engine, seed: int) -> BatchPlan:
    """Return this process's share of every update.

    Raises UsageError where the batch can't be shared evenly.
    """
    if settings.batch_size % engine.world:
        raise UsageError(
            f"fit.batch_size {settings.batch_size} can't be shared by {engine.world} processes; choose a multiple."
        )
    return BatchPlan(settings.batch_size // engine.world, seed, engine.rank, engine.world)


class Loop:
    """One run of training. Everything that a resumed run needs is in a checkpoint and comes back by `resume`."""

    def __init__(
        self,
        settings: FitSettings,
        run: Run,
        engine: Engine,
        model: nn.Module,
        objective: Objective,
        feed: Feed,
        validation: Validation,
        extras: Extras | None = None,
    ) -> None:
        extras = extras or Extras()
        self.settings, self.run, self.engine = settings, run, engine
        self.model, self.objective, self.feed, self.validation = model, objective, feed, validation
        self.prepared = engine.prepare(model)
        only = objective.trained(model) if isinstance(objective, TrainsOnly) else None
        optimiser = extras.optimiser or make_optimiser(settings.optimiser, model, settings.learning_rate, only)
        for group in optimiser.param_groups:
            group.setdefault("lr_scale", 1.0)
        self.optimiser = engine.prepare_optimiser(optimiser)
        self.parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        self.rate = extras.rate or make_schedule(settings.schedule, settings.learning_rate, settings.steps)
        self._clip_value, self._after = extras.clip_value, extras.after
        self._losses: list[Loss] = []
        decay = settings.ema_decay
        self.average = MovingAverage(model.named_parameters(), decay) if decay is not None else None
        self.loss_check = LossCheck(objective, extras.objective_use)
        self.tally = Tally(engine, self.loss_check.interval)
        self.carried: Any = None
        self._carrying = objective if isinstance(objective, CarriesState) else None
        self._carried_before: Any = None
        self.step = 0
        self.best: float | None = None
        self.without_improvement = 0
        self.evaluation_due = False
        self.finished_early = False
        self._updating = False
        self.checkpoints = stage_checkpoints(run, settings.keep_checkpoints)
        self.guard = Guard(run, settings.skip_nonfinite, self._last_checkpoint)

    def train(self) -> None:
        """Train from the last checkpoint, or from the start, to the end.

        Raises Stopped after saving a checkpoint when asked to stop, NumericalError after too many bad updates.
        """
        self.resume()
        self.until(self.settings.steps)

    def until(self, last: int) -> None:
        """Train up to an update, 1, 2, ...; the plan of the settings (schedule, end of the log) stays as it is.

        Raises Stopped and NumericalError as `train`.
        """
        self.prepared.train()
        with self.run.progress("training", self.settings.steps) as bar:
            try:
                self._finish_due_evaluation()
                self._go_on(bar, last)
            except Stopped:
                self.save()
                self.checkpoints.wait()
                raise
            except NumericalError:
                self.checkpoints.settle()
                raise
            except Exception as error:
                self.rescue(error)
                raise
            except BaseException:
                self.checkpoints.settle()
                raise
            finally:
                self.tally.flush(self._log)
        self.checkpoints.wait()
        if self.step >= self.settings.steps:
            self.loss_check.ended(self.step)
            self.guard.ended(self.step)

    def rescue(self, error: Exception) -> None:
        """Keep what was trained where a fault is not the update's own, so that it need not be trained again.

        What the making of a round raises is not.

        With several processes a fault of one can't be answered by all; those of evaluations are told to all and saved there.
        """
        self.checkpoints.settle()
        of_update = self._updating and not getattr(self.feed, "making_round", False)
        if of_update or self.step == 0 or self.engine.world > 1:
            return
        try:
            self.save_once()
        except Exception as second:
            error.add_note(f"A checkpoint of step {self.step} could not be saved either: {second}")

    def _go_on(self, bar: Any, last: int) -> None:
        settings, shown = self.settings, 0.0
        if self.step:
            bar.show(self.step)
        started, first, pace = time.perf_counter(), self.step, Pace(self.step)
        while self.step < last and not self.finished_early:
            self._updating = True
            update = self.one_update()
            self._updating = False
            self.step += 1
            step = self.step
            if step % settings.log_every == 0 or step == settings.steps:
                self._read_applied()
                self.tally.close_interval(step, self.rate(step), self._log)
            measured = settings.evaluate_every and step % settings.evaluate_every == 0
            if (measured or step == settings.steps) and self.validation.active:
                self.evaluation_due = True
            if self._after is not None:
                losses, self._losses = tuple(self._losses), []
                self._after(Updated(step, losses, update.norm, update.applied))
            if step == settings.steps:
                self.save()
                self.checkpoints.wait()  # what comes now, evaluations and the saving of the model, may fail
            self._finish_due_evaluation()
            periodic = settings.checkpoint_every and step % settings.checkpoint_every == 0 and step < settings.steps
            if periodic or self.finished_early:
                self.save()
            now = time.perf_counter()
            if now - shown > SHOW_INTERVAL_S:
                bar.show(step, **self.tally.latest, rate=pace.note(step, now))
                shown = now
            if self._asked_to_stop(step):
                self.run.stop_if_asked()
                raise Stopped("Stopped on request of another process.")
        seconds = time.perf_counter() - started
        if self.step > first:
            self.run.timing(self.step, {"seconds": seconds, "updates_per_second": (self.step - first) / seconds})

    def _asked_to_stop(self, step: int) -> bool:
        asked = self.run.should_stop() and step < self.settings.steps
        return asked if self.engine.world == 1 else self.engine.any(asked)

    def one_update(self) -> Update:
        """Run the micro-batches of one update and apply it."""
        batches = self.feed.next()
        if batches is None:
            raise DataError("The data ended before the planned number of steps; lower fit.steps or let it repeat.")
        self._carried_before = self.carried
        set_learning_rate(self.optimiser, self.rate(self.step + 1))
        if len(batches) == 1 and self.engine.world == 1:
            loss = self._forward(to_device(batches[0], self.engine.device))
            weight = self.tally.add(loss, batches[0].get(MEMBER))
            objective = loss.total if not loss.auxiliary else loss.total + self._auxiliary(loss, weight, None)
            self.engine.backward(objective)
            checked, scale = loss.total, self.loss_check.weight(loss.total, weight)
        else:
            checked, scale = self._accumulate(batches)
        update = self.engine.update(self.optimiser, scale, self.settings.clip_norm, checked, self.parameters, self._clip_value)
        self._account(update.applied, update.norm, batches)
        return update

    def _forward(self, batch: Batch) -> Loss:
        try:
            loss = self._measure(batch)
        except AT_FIRST as error:
            if self.step == 0 or isinstance(error, UNLIKE):
                self.loss_check.explain(error, self.model)
            raise
        self.loss_check.loss(loss)
        if self._after is not None:
            self._losses.append(loss)
        return loss

    def _measure(self, batch: Batch) -> Loss:
        with self.engine.autocast():
            if self._carrying is not None:
                if self.carried is None:
                    self.carried = self._carried_before = self._carrying.initial_state(self.prepared, batch)
                loss, state = self._carrying.step(self.prepared, batch, self.carried)
                self.carried = map_tree(Tensor.detach, state)
                return loss
            return self.objective(self.prepared, batch)

    def _accumulate(self, batches: list[Batch]) -> tuple[Tensor, Tensor]:
        """Add the gradients of sums; return the sum of the loss and 1 / (sum of the weights)."""
        device = self.engine.device
        known = self._known_weights(batches)
        total, weights = torch.zeros((), device=device), torch.zeros((), device=device)
        for i, batch in enumerate(batches):
            with self.engine.accumulating(self.prepared, i == len(batches) - 1):
                loss = self._forward(to_device(batch, device))
                weight = self.tally.add(loss, batch.get(MEMBER))
                objective = loss.total if not loss.auxiliary else loss.total + self._auxiliary(loss, weight, known)
                self.engine.backward(objective)
            total, weights = total + loss.total.detach(), weights + weight
        sums = self.engine.sum(torch.stack([total, weights]))
        # Several processes average their gradients, hence the factor.
        return sums[0], self.engine.world * self.loss_check.weight(sums[0], sums[1])

    def _known_weights(self, batches: list[Batch]) -> dict[str, float] | None:
        if not isinstance(self.objective, Weighs):
            return None
        known: dict[str, float] = {}
        for batch in batches:
            for name, value in self.objective.weights(batch).items():
                known[name] = known.get(name, 0.0) + float(value)
        if self.engine.world > 1:
            names = sorted(known)
            sums = self.engine.sum(torch.tensor([known[n] for n in names], device=self.engine.device, dtype=torch.float64))
            known = dict(zip(names, sums.tolist(), strict=True))
        return known

    def _auxiliary(self, loss: Loss, weight: Tensor, known: Mapping[str, float] | None) -> Tensor:
        """Return the auxiliary terms scaled so that the division by the main weight gives each its own mean."""
        terms = []
        for name, part in loss.auxiliary.items():
            if part.weight is None:
                terms.append(part.coefficient * part.total)
            elif known is not None:
                terms.append(part.coefficient * part.total * (known[""] / max(known[name], 1e-20)))
            elif self.settings.accumulate == 1 and self.engine.world == 1:
                own = torch.as_tensor(part.weight, dtype=torch.float32, device=weight.device)
                terms.append(part.coefficient * part.total * (weight / torch.clamp(own, min=1e-20)))
            else:
                raise UsageError(
                    f"The auxiliary loss {name!r} has a weight of its own; with fit.accumulate > 1 or several processes its "
                    "objective must tell the weights beforehand (method `weights`). Set fit.accumulate=1."
                )
        return torch.stack(terms).sum()

    def _account(self, applied: Tensor | bool, norm: Tensor | float, batches: list[Batch]) -> None:
        self.tally.norm(norm)
        if applied is not True and self.carried is not None:
            self.carried = _chosen(applied, self.carried, self._carried_before)
        if isinstance(applied, Tensor):
            self.tally.applied(applied)
        elif applied:
            self.tally.keep_last()
        else:
            self.tally.skip_last()
        self.guard.note(self.step + 1, applied, example_ids(batches) if applied is not True else ())
        if self.average is not None and applied is not False:
            self.average.update()

    def _read_applied(self) -> None:
        """Learn from the device, once a log line, which of the last updates it skipped."""
        self._updating = True  # what is found here is a fault of the updates before: no checkpoint is made past it
        self.loss_check.read()
        self.tally.skipped(self.guard.read())
        self._updating = False

    def _last_checkpoint(self, step: int) -> int:
        """Leave a checkpoint to look at where there is none, before training ends for bad updates."""
        self.checkpoints.wait()
        if not self.checkpoints.steps():
            self.step = max(self.step, step)
            self._save()
            self.checkpoints.wait()
        return self.checkpoints.steps()[-1]

    def _finish_due_evaluation(self) -> None:
        if not self.evaluation_due:
            return
        try:
            values = self.engine.on_main(self._evaluate)
        except Exception as error:
            if self.engine.world > 1 and not isinstance(error, Stopped):  # with one process `rescue` saves
                self.save()
                self.checkpoints.wait()
            raise
        self.evaluation_due = False
        score = values.get(self._watched())
        if score is None or score != score:
            return
        if self.best is None or score < self.best:
            self.best, self.without_improvement = score, 0
        else:
            self.without_improvement += 1
        stop = self.settings.early_stop
        if stop is not None and self.without_improvement >= stop.patience:
            self.finished_early = True
            self.run.event("early stop", step=self.step, metric=stop.metric, best=self.best)

    def _evaluate(self) -> dict[str, float]:
        lines = self.run.line_counts()
        try:
            values = self.validation.run(self.step)
            if self.settings.early_stop is not None:
                check_metric(self.settings.early_stop.metric, list(values))
            return values
        except Exception:
            self.run.rewind(*lines)  # the evaluation is repeated after resuming
            raise

    def _watched(self) -> str:
        return self.settings.early_stop.metric if self.settings.early_stop is not None else "valid/loss"

    def _log(self, step: int, values: Mapping[str, float]) -> None:
        if self.engine.is_main:
            self.run.log(step, values)

    def save(self) -> None:
        """Take a checkpoint of the present step."""
        self._read_applied()
        self._save()

    def save_once(self) -> None:
        """Take a checkpoint of the present step where there is none yet, and wait until it is safe."""
        self.checkpoints.wait()
        if self.step not in self.checkpoints.steps():
            self.save()
            self.checkpoints.wait()

    def _save(self) -> None:
        self.tally.flush(self._log)
        processes = self.engine.gather(self.process_state())
        if self.engine.is_main:
            self.run.sync_records()
            state = {**self.state(), "processes": processes}
            self.checkpoints.save(self.step, state, self.best if self.without_improvement == 0 else None)
        self.engine.wait()

    def process_state(self) -> dict[str, Any]:
        """Return what differs between processes: position in the data, randomness, carried state, sums for the log."""
        return {
            "data": self.feed.state_dict(),
            "carried": self.carried,
            "random": rng_state(),
            "tally": self.tally.state_dict(),
        }

    def state(self) -> dict[str, Any]:
        """Return everything that decides how training goes on and is the same on every process."""
        return {
            "model": dict(model_state(self.model)),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average.state_dict() if self.average is not None else {},
            "loop": {
                "step": self.step,
                "planned_steps": self.settings.steps,
                "guard": self.guard.state_dict(),
                "losses": self.loss_check.state_dict(),
                "best": self.best,
                "without_improvement": self.without_improvement,
                "evaluation_due": self.evaluation_due,
                "finished_early": self.finished_early,
                "lines": self.run.line_counts(),
            },
        }

    def resume(self) -> None:
        """Go on from the newest checkpoint, or begin; lines that were logged after it are cut."""
        restored = self.checkpoints.load()
        if restored is None:
            self.run.rewind(0, 0)
            return
        parts = restored.parts
        loop = parts["loop"]
        load_model_state(self.model, parts["model"])
        self.optimiser.load_state_dict(parts["optimiser"])
        if self.average is not None:
            self.average.load_state_dict(parts["average"])
        self.step = loop["step"]
        self.guard.load_state_dict(loop["guard"])
        self.loss_check.load_state_dict(loop["losses"])
        self.best = loop["best"]
        self.without_improvement = loop["without_improvement"]
        self.evaluation_due, self.finished_early = loop["evaluation_due"], loop["finished_early"]
        if len(parts["processes"]) != self.engine.world:
            count = len(parts["processes"])
            raise UsageError(
                f"The checkpoint of step {restored.step} is of {count} processes, this run has {self.engine.world}; start "
                "as many, or begin anew with another --out."
            )
        own = parts["processes"][self.engine.rank]
        self.tally.load_state_dict(own["tally"])
        self.feed.load_state_dict(own["data"])
        self.carried = map_tree(lambda tensor: tensor.to(self.engine.device), own["carried"])
        set_rng_state(own["random"])
        if self.engine.is_main:
            self.run.rewind(*loop["lines"])
            self.run.event("resumed", step=self.step)


def _chosen(applied: Tensor | bool, new: Any, old: Any) -> Any:
    """Return the new state where the update was applied, else the one before it (a bad batch leaves NaN in the new)."""
    if not isinstance(applied, Tensor):
        return new if applied else old
    return map_tree(lambda after, before: torch.where(applied, after, before), new, old)
