"""Stage `lae/scenario`: a class order that several stages share."""

from __future__ import annotations

from omnitrain.api import Run
from omnitrain.engine import reads_data
from omnitrain.errors import UsageError
from omnitrain_lae.configs.stages import ScenarioConfig
from omnitrain_lae.data.class_incremental import IncrementalData, write_scenario


@reads_data
def scenario(config: ScenarioConfig, run: Run) -> None:
    """Stage `lae/scenario`: draw the class order and leave it as the artifact "data"."""
    data, _ = run.data(config.data)
    if not isinstance(data, IncrementalData):
        raise UsageError("data: expected {use: lae/class-incremental, ...}, which has tasks.")
    described = run.describe_data(config.data) or {}
    with run.artifact("data", "data", folder=True, **described) as path:
        write_scenario(data, path)
    run.event("scenario", tasks=len(data.scenario.tasks), classes=len(data.scenario.order))
