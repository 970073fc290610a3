"""Run benches: variants interleaved round by round, so that ratios hold although the machine's speed drifts."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from omnitrain.api.bench import Bench
from omnitrain.api.references import load_reference
from omnitrain.errors import PluginError
from omnitrain.plugins import Registry


@dataclass(frozen=True)
class Measured:
    """One variant: median and range of its value, and how many times as fast ours was in the same rounds."""

    variant: str
    median: float
    low: float
    high: float
    speedup: float | None
    speedup_low: float | None
    speedup_high: float | None
    bar: float | None = None

    @property
    def holds(self) -> bool | None:
        """Whether the stated limit is met; None without one."""
        return None if self.bar is None or self.speedup is None else self.speedup >= self.bar


@dataclass(frozen=True)
class BenchResult:
    """A measured bench."""

    name: str
    summary: str
    unit: str
    ours: str
    rounds: int
    rows: list[Measured]
    absent: list[str] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether every stated limit is met."""
        return all(row.holds is not False for row in self.rows)

    def json(self) -> dict[str, Any]:
        """Return plain values."""
        rows = [{**asdict(row), "holds": row.holds} for row in self.rows]
        return {**asdict(self), "rows": rows, "holds": self.holds}


def machine() -> str:
    """Describe processors, torch's threads and versions in one line, without names of the machine."""
    text = f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}"
    if find_spec("torch") is None:
        return text
    from omnitrain.engine.devices import describe_devices

    devices, threads = describe_devices()
    return f"{text}, torch {version('torch')}, {threads} threads, {', '.join(devices)}"


def measure(bench: Bench, rounds: int | None = None, advance: Callable[[], None] = lambda: None) -> BenchResult:
    """Run every variant once a round, in rotating order, after one round that does not count."""
    names = list(bench.variants)
    count = rounds or bench.rounds
    values: dict[str, list[float]] = {name: [] for name in names}
    for number in range(count + 1):
        shift = number % len(names)
        found = {}
        for name in names[shift:] + names[:shift]:
            found[name] = bench.variants[name]()
            advance()
        if number:
            base = found[bench.over] if bench.over is not None else 0.0
            for name in names:
                values[name].append(found[name] - base)
    bars = {bar.peer: bar.speedup for bar in bench.bars}
    rows = [_row(name, values, bench, bars.get(name)) for name in names if name != bench.over]
    return BenchResult(bench.name, bench.summary, bench.unit, bench.ours, count, rows, list(bench.absent), dict(bench.notes))


def _row(name: str, values: dict[str, list[float]], bench: Bench, bar: float | None) -> Measured:
    own = values[name]
    median, low, high = statistics.median(own), min(own), max(own)
    if name == bench.ours:
        return Measured(name, median, low, high, None, None, None)
    pairs = zip(values[bench.ours], own, strict=True)
    ratios = [a / b if bench.higher_is_better else b / a for a, b in pairs if a and b]
    if not ratios:
        return Measured(name, median, low, high, None, None, None, bar)
    return Measured(name, median, low, high, statistics.median(ratios), min(ratios), max(ratios), bar)


def benches_of(plugin: str, registry: Registry) -> Sequence[Bench]:
    """Return a plugin's benches.

    Raises PluginError when it has none or they can't be imported.
    """
    reference = registry.plugin(plugin).bench
    if reference is None:
        raise PluginError(f"Plugin {plugin!r} declares no bench.")
    try:
        found: Sequence[Bench] = load_reference(reference)()
    except ImportError as error:
        raise PluginError(f"The benches of {plugin!r} can't be imported: {error}.") from error
    return found
