"""Find the trackers that a user asked for, and feed them without ever letting one stop a run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omnitrain.api.trackers import OpensTracker, Tracker
from omnitrain.errors import EnvironmentFault, PluginError, UsageError, nearest

GROUP = "omnitrain.trackers"
VARIABLE = "OMNITRAIN_TRACKERS"
NONE = "none"
SHIPPED = ("tensorboard", "wandb", "mlflow")  # each is named like the package and the extra that it needs


def find_trackers(names: Sequence[str] | None = None) -> dict[str, OpensTracker]:
    """Return what opens the trackers of these names, by name.

    names: None for those in the environment variable OMNITRAIN_TRACKERS (separated by commas), and where that is not set
    for TensorBoard if it is installed. "none" stands for no tracker.
    Raises UsageError for an unknown name, EnvironmentFault where its package is absent, PluginError where it can't be loaded.
    """
    if names is None:
        listed = os.environ.get(VARIABLE)
        if listed is None:
            return {name: _shipped(name) for name in SHIPPED[:1] if find_spec(name) is not None}
        names = [name.strip() for name in listed.split(",") if name.strip()]
    return {name: _find(name) for name in names if name != NONE}


def _find(name: str) -> OpensTracker:
    if name in SHIPPED:
        if find_spec(name) is None:
            raise EnvironmentFault(f"The tracker {name!r} needs a package: pip install 'omnitrain-core[{name}]'.")
        return _shipped(name)
    points = {point.name: point for point in entry_points(group=GROUP)}
    if name not in points:
        raise UsageError(f"There is no tracker {name!r}. {nearest(name, [*SHIPPED, *points, NONE])}")
    return _loaded(points[name])


def _shipped(name: str) -> OpensTracker:
    from omnitrain.runs import tracking

    opens: dict[str, OpensTracker] = {
        "tensorboard": tracking.TensorBoard,
        "wandb": tracking.WeightsAndBiases,
        "mlflow": tracking.MLflow,
    }
    return opens[name]


def _loaded(point: EntryPoint) -> OpensTracker:
    try:
        opens: OpensTracker = point.load()
    except Exception as error:
        raise PluginError(f"The tracker {point.name!r} ({point.value}) can't be loaded: {error}.") from error
    return opens


class Trackers:
    """The trackers of a run, opened for a stage when it logs first.

    settings: of each stage by name. A tracker that fails once gets nothing more; `tell` hears its name and fault.
    """

    def __init__(self, opens: Mapping[str, OpensTracker], directory: Path, settings: Mapping[str, Mapping[str, Any]]) -> None:
        self._opens, self._directory, self._settings = dict(opens), directory, settings
        self._open: dict[tuple[str, str], Tracker] = {}

    def log(self, stage: str, step: int, values: Mapping[str, Any], split: str, tell: Callable[[str, Exception], None]) -> None:
        """Hand the numbers of a step to every tracker."""
        numbers = {key: value for key, value in values.items() if isinstance(value, (int, float))}
        for name in list(self._opens):
            try:
                if (name, stage) not in self._open:
                    settings = self._settings.get(stage.partition("/")[0], {})
                    self._open[name, stage] = self._opens[name](self._directory, stage, settings)
                self._open[name, stage].log(step, numbers, split)
            except Exception as error:  # whatever a tracker raises, the run is worth more
                self._drop(name, error, tell)

    def close(self, tell: Callable[[str, Exception], None]) -> None:
        """Close what is open; the next line opens it again."""
        for name, stage in list(self._open):
            try:
                self._open.pop((name, stage)).close()
            except Exception as error:  # as above
                self._drop(name, error, tell)

    def _drop(self, name: str, error: Exception, tell: Callable[[str, Exception], None]) -> None:
        if self._opens.pop(name, None) is not None:
            tell(name, error)
        self._open = {key: tracker for key, tracker in self._open.items() if key[0] != name}
