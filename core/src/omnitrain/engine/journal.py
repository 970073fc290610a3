"""What a stage with a loop of its own needs to stop and go on exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from omnitrain.api import Run
from omnitrain.engine.checkpoints import Checkpoints
from omnitrain.engine.rng import rng_state, set_rng_state


def stage_checkpoints(run: Run, keep: int = 2) -> Checkpoints:
    """Return the checkpoints in a stage's folder; one that is damaged is passed over and named in an event."""
    return Checkpoints(run.directory / "checkpoints", run.identity, keep, warn=lambda text: run.event("checkpoint", note=text))


class Journal:
    """Checkpoints of a loop: its parts, the global generators and the number of metric lines.

    collect: returns the state of everything that decides how the loop goes on: trees of dicts, lists, tensors, arrays,
    numbers and text by name. restore: puts it back. every: steps between two checkpoints, 0 for none but at a stop and at the
    end: what comes behind the loop, measuring and saving the model, may fail without the loop's work being lost. keep: how
    many of the newest stay on disk.

        journal = Journal(run, loop.state_dict, loop.load_state_dict, every=50)
        for step in range(journal.resume() + 1, steps + 1):
            run.log(step, loop.one_step())
            journal.after(step, steps)
    """

    def __init__(
        self,
        run: Run,
        collect: Callable[[], Mapping[str, Any]],
        restore: Callable[[Mapping[str, Any]], None],
        every: int = 0,
        keep: int = 2,
    ) -> None:
        self._run, self._collect, self._restore, self._every = run, collect, restore, every
        self._checkpoints = stage_checkpoints(run, keep)

    def resume(self) -> int:
        """Restore the newest checkpoint; return the number of finished steps, 0 at the start.

        Lines that were logged after it are cut, so that a repeated step is not logged twice.
        """
        restored = self._checkpoints.load()
        if restored is None:
            self._run.rewind(0, 0)
            return 0
        parts = dict(restored.parts)
        journal = parts.pop("journal")
        self._restore(parts)
        set_rng_state(journal["random"])
        self._run.rewind(*journal["lines"])
        self._run.event("resumed", step=restored.step)
        return restored.step

    def after(self, step: int, steps: int) -> None:
        """Call when `step` of `steps` is done: saves where it is time to, at the last step, and at a request to stop.

        Raises Stopped after saving when the run was asked to stop.
        """
        if step >= steps:
            self.save(step)
            self.wait()
            return
        asked = self._run.should_stop()
        if asked or (self._every and step % self._every == 0):
            self.save(step)
        if asked:
            self.wait()
            self._run.stop_if_asked()

    def save(self, step: int) -> None:
        """Take a checkpoint."""
        self._run.sync_records()
        journal = {"random": rng_state(), "lines": self._run.line_counts()}
        self._checkpoints.save(step, {**self._collect(), "journal": journal})

    def wait(self) -> None:
        """Wait until the last checkpoint is on disk, for a loop that saves and stops at places of its own."""
        self._checkpoints.wait()
