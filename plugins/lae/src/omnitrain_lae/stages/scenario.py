"""Stage `lae/scenario`: a class order that several stages share."""

from __future__ import annotations

from typing import Any

from omnitrain.errors import UsageError
from omnitrain_lae.configs.stages import ScenarioConfig
from omnitrain_lae.data.class_incremental import IncrementalData, write_scenario


def scenario(config: ScenarioConfig, run: Any) -> None:
    """Stage `lae/scenario`: draw the class order and leave it as the artifact "data"."""
    data = run.build(config.data)
    if not isinstance(data, IncrementalData):
        raise UsageError("data: expected {use: lae/class-incremental, ...}, which has tasks.")
    data.prepare(run.workspace, run)
    described = run.describe_data(config.data)
    with run.artifact("data", "data", **described) as path:
        path.mkdir(parents=True, exist_ok=True)
        write_scenario(data, path)
    run.event("scenario", tasks=len(data.scenario.tasks), classes=len(data.scenario.order))
