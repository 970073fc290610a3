"""What a stage with a loop of its own needs to stop and go on exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from omnitrain.api import Run
from omnitrain.engine import Checkpoints, rng_state, set_rng_state


class LoopRun(Run, Protocol):
    """A run that can cut its lines of metrics back to those that a checkpoint had written."""

    def line_counts(self) -> tuple[int, int]: ...

    def rewind(self, metric_lines: int, timing_lines: int) -> None: ...

    def sync_records(self) -> None: ...


class Journal:
    """Checkpoints of a loop: its parts, the global generators and the number of metric lines.

    collect: returns the state of everything that decides how the loop goes on. restore: puts it back. every: steps between
    two checkpoints, 0 for none but at a stop.
    """

    def __init__(
        self,
        run: LoopRun,
        collect: Callable[[], Mapping[str, Any]],
        restore: Callable[[Mapping[str, Any]], None],
        every: int = 0,
        keep: int = 2,
    ) -> None:
        self._run, self._collect, self._restore, self._every = run, collect, restore, every
        self._checkpoints = Checkpoints(
            run.directory / "checkpoints", run.identity, keep, warn=lambda text: run.event("checkpoint", note=text)
        )

    def resume(self) -> int:
        """Restore the newest checkpoint; return the number of finished steps, 0 at the start."""
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
        """Call when `step` of `steps` is done: saves where it is time to, and at a request to stop.

        Raises Stopped after saving when the run was asked to stop.
        """
        if step >= steps:
            self._checkpoints.wait()
            return
        asked = self._run.should_stop()
        if asked or (self._every and step % self._every == 0):
            self.save(step)
        if asked:
            self._checkpoints.wait()
            self._run.stop_if_asked()

    def save(self, step: int) -> None:
        """Take a checkpoint."""
        self._run.sync_records()
        journal = {"random": rng_state(), "lines": self._run.line_counts()}
        self._checkpoints.save(step, {**self._collect(), "journal": journal})
