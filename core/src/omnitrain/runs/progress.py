"""Live progress in a terminal, plain lines elsewhere. Both go to standard error."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, cast

from omnitrain.masking import mask
from omnitrain.streams import remark, standard_error
from omnitrain.terminal import one_line, visible

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

PLAIN_INTERVAL_S = 10.0
QUIET_BEFORE_S = 2.0
PACE_WINDOW_S = 60.0
PACE_INTERVAL_S = 1.0
PACE_NOTES = 64


def duration(seconds: float) -> str:
    """Write seconds as people do: 8 s, 3 min 20 s, 2 h 5 min."""
    seconds = int(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


class Pace:
    """How fast a job is now, by its newest notes: what was slow or fast a while ago says little of what is left."""

    def __init__(self, done: float = 0.0, now: float | None = None) -> None:
        self._notes: deque[tuple[float, float]] = deque([(time.perf_counter() if now is None else now, done)])

    def note(self, done: float, now: float | None = None) -> float:
        """Note how much is finished; return the finished work a second over the last `PACE_WINDOW_S`, 0 where unknown.

        Where one piece of work takes longer than that, the rate is that of the last two notes.
        """
        now = time.perf_counter() if now is None else now
        notes = self._notes
        if len(notes) > 1 and now - notes[-1][0] < PACE_INTERVAL_S:
            first = notes[0]
            return (done - first[1]) / max(now - first[0], 1e-9)
        notes.append((now, done))
        while len(notes) > PACE_NOTES or (len(notes) > 2 and now - notes[1][0] > PACE_WINDOW_S):
            notes.popleft()
        return (done - notes[0][1]) / max(now - notes[0][0], 1e-9)


def _values(values: dict[str, float]) -> str:
    return "  ".join(f"{k} {v:.4g}" for k, v in values.items())


class Bar:
    """One job's progress. `advance` may raise Stopped, since a job that shows progress can be left at that point."""

    def __init__(self, label: str, total: float | None, check: Callable[[], None], live: RichProgress | None) -> None:
        self._label, self._total, self._check, self._live = one_line(label), total, check, live
        self._done = 0.0
        self._values: dict[str, float] = {}
        self._start = self._said = time.monotonic()
        self._pace = Pace(0.0, self._start)
        self._task: Any = live.add_task(self._label, total=total, values="") if live is not None else None

    def advance(self, amount: float = 1, **values: float) -> None:
        """Add finished work and show it; values are shown beside the bar.

        Raises Stopped when the run was asked to stop.
        """
        self.show(self._done + amount, **values)
        self._check()

    def show(self, done: float, **values: float) -> None:
        """Set how much is finished, without checking for a stop."""
        self._done = done
        self._values.update(values)
        if self._live is not None:
            self._live.update(self._task, completed=done, values=_values(self._values))
            return
        now = time.monotonic()
        if now - self._start < PACE_INTERVAL_S:
            self._pace = Pace(done, now)  # a resumed job begins with what was finished before
        rate = self._pace.note(done, now)
        if now - self._said >= PLAIN_INTERVAL_S:
            self._said = now
            remark(self._line(rate))

    def _line(self, rate: float) -> str:
        text = f"{self._label}: {self._done:g}"
        if self._total:
            text += f" of {self._total:g}"
            if rate > 0:
                text += f", {duration((self._total - self._done) / rate)} left"
        return f"{text}  {_values(self._values)}".rstrip()

    def close(self) -> None:
        """Remove the bar; a job that took a while leaves one line."""
        elapsed = time.monotonic() - self._start
        if self._live is not None:
            self._live.remove_task(self._task)
        elif elapsed > QUIET_BEFORE_S:
            remark(f"{self._label}: {self._done:g} in {duration(elapsed)}  {_values(self._values)}".rstrip())


class Display:
    """Shows the bars of a run, or nothing when `quiet`."""

    def __init__(self, check: Callable[[], None], quiet: bool = False) -> None:
        self._check = check
        self._quiet = quiet
        self._live: RichProgress | None = None

    @contextmanager
    def bar(self, label: str, total: float | None = None) -> Iterator[Bar]:
        """Show one job while the block runs."""
        with self._screen() as live:
            bar = Bar(label, total, self._check, live) if not self._quiet else _Silent(label, total, self._check, None)
            try:
                yield bar
            finally:
                bar.close()

    def say(self, text: str) -> None:
        """Print a note for the user to standard error."""
        if self._quiet:
            return
        if self._live is not None:
            self._live.console.print(visible(mask(text)), markup=False, highlight=False)
        else:
            remark(text)

    @contextmanager
    def _screen(self) -> Iterator[RichProgress | None]:
        if self._quiet or not standard_error().isatty() or self._live is not None:
            yield self._live
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn())
        more = (TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[values]}"))
        console = Console(file=cast("IO[str]", standard_error()))
        with RichProgress(*columns, *more, console=console, refresh_per_second=2, transient=True) as live:
            self._live = live
            try:
                yield live
            finally:
                self._live = None


class _Silent(Bar):
    def show(self, done: float, **values: float) -> None:
        self._done = done

    def close(self) -> None:
        """Leave nothing."""
