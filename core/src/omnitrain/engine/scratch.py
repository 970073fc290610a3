"""A run that keeps nothing: for benches, traces, tests, and for using a saved model outside a recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from omnitrain.api.config import Use
from omnitrain.engine.building import ComponentBuilder
from omnitrain.places import cache_folder
from omnitrain.plugins import Registry, installed
from omnitrain.recipes import ResolvedRecipe
from omnitrain.runs import Display, RunDirectory, StageRun, StopRequest

Build = Callable[[Any, Mapping[str, Any]], Any]


class ScratchRun(StageRun):
    """A `Run` whose lines and events are in memory, and whose folder goes with the block of `scratch_run`."""

    _lines: list[dict[str, Any]]
    _events: list[dict[str, Any]]
    _build: Build | None
    _writes: bool

    def lines(self, stage: str | None = None, split: str | None = None) -> list[dict[str, Any]]:
        """Return the metrics logged so far: {"stage", "step", "split", and the values}; a part's stage is "name/part"."""
        chosen = (line for line in self._lines if stage in (None, line["stage"]) and split in (None, line["split"]))
        return [dict(line) for line in chosen]

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """Return the events so far: {"stage", "event", and the details}."""
        return [dict(event) for event in self._events if name in (None, event["event"])]

    def ask_to_stop(self, reason: str = "a test") -> None:
        """Ask as SIGTERM does."""
        self._stop.ask(reason)

    def build(self, use: Use, facts: Mapping[str, Any] | None = None) -> Any:
        """Build what a config field holds, or what the run was given in its place."""
        if self._build is None:
            return super().build(use, facts)
        return self._build(use, self.facts if facts is None else facts)

    def log(self, step: int, values: Mapping[str, float], split: str = "train") -> None:
        """Keep metrics of a step."""
        self._lines.append({"stage": self.name, "step": step, "split": split, **values})
        if self._writes:
            self._folder.metrics.append(self.name, step=step, split=split, **values)

    def timing(self, step: int, values: Mapping[str, float]) -> None:
        """Take note of nothing."""

    def event(self, name: str, **details: Any) -> None:
        """Keep an event and show it."""
        self._events.append({"stage": self.name, "event": name, **details})
        shown = ", ".join(f"{key} {value}" for key, value in details.items())
        self.say(f"{name}{': ' + shown if shown else ''}")

    def line_counts(self) -> tuple[int, int]:
        """Return how many lines of metrics this stage has."""
        return len(self.lines(self.name)), 0

    def sync_records(self) -> None:
        """Nothing is on disk."""

    def rewind(self, metric_lines: int, timing_lines: int) -> None:
        """Cut this stage's lines."""
        own = [number for number, line in enumerate(self._lines) if line["stage"] == self.name]
        for number in reversed(own[metric_lines:]):
            del self._lines[number]


@contextmanager
def scratch_run(
    registry: Registry | None = None,
    *,
    name: str = "scratch",
    seed: int = 0,
    facts: Mapping[str, Any] | None = None,
    workspace: Path | None = None,
    build: Build | None = None,
    quiet: bool = True,
    writes: bool = False,
) -> Iterator[ScratchRun]:
    """Yield a `Run` in a temporary folder, which is removed afterwards with all that was written into it.

    registry: of the components that it can build, by default all that are installed. name, seed: what its seeds depend on.
    facts: what the data is said to tell. workspace: by default the cache of this machine. build: called with a field and the
    facts in place of building what the field holds. quiet: show no progress and no events.
    writes: write the lines of metrics to the folder too, which costs what it costs in a run.
    """
    with TemporaryDirectory(prefix="omnitrain-") as temporary:
        folder = RunDirectory(Path(temporary))
        recipe = ResolvedRecipe(name, "", seed, (), {}, {})
        builder = ComponentBuilder(registry or installed(), folder, recipe)
        stop = StopRequest()
        display = Display(stop.raise_if_asked, quiet)
        run = ScratchRun(name, folder, seed, workspace or cache_folder(), builder, stop, display, "scratch", facts)
        run._lines, run._events, run._build, run._writes = [], [], build, writes
        run.directory.mkdir()
        try:
            with run:
                yield run
        finally:
            folder.close()
