"""The trackers that come with the core. Each imports its package only when it is opened."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class TensorBoard:
    """Event files in RUN_DIR/tensorboard/STAGE."""

    def __init__(self, directory: Path, stage: str, settings: Mapping[str, Any]) -> None:
        from tensorboard.summary import Writer

        self._writer = Writer(str(directory / "tensorboard" / stage))

    def log(self, step: int, values: Mapping[str, float], split: str) -> None:
        """Write a point to each curve."""
        for name, value in values.items():
            self._writer.add_scalar(f"{split}/{name}", value, step)

    def close(self) -> None:
        """Write what is open."""
        self._writer.close()


class WeightsAndBiases:
    """A run of W&B per stage, in a group per run directory, gone on with after a resume. WANDB_PROJECT and the like hold."""

    def __init__(self, directory: Path, stage: str, settings: Mapping[str, Any]) -> None:
        import wandb

        place = directory.absolute()
        self._run = wandb.init(
            id=hashlib.sha256(f"{place}/{stage}".encode()).hexdigest()[:16],
            name=f"{place.name}/{stage}",
            group=place.name,
            dir=str(place),
            config=dict(settings),
            resume="allow",
            reinit="create_new",
        )
        self._run.define_metric("*", step_metric="step")  # their own counter may not go back, as steps do after a resume

    def log(self, step: int, values: Mapping[str, float], split: str) -> None:
        """Send the numbers of a step."""
        self._run.log({"step": step, **{f"{split}/{name}": value for name, value in values.items()}})

    def close(self) -> None:
        """Send what is left."""
        self._run.finish()


class MLflow:
    """A run of MLflow per stage, in an experiment per recipe. MLFLOW_TRACKING_URI says where."""

    def __init__(self, directory: Path, stage: str, settings: Mapping[str, Any]) -> None:
        import mlflow

        self._client = mlflow.MlflowClient()
        experiment = mlflow.set_experiment(str(settings.get("recipe") or "omnitrain"))
        self._id = self._client.create_run(
            experiment.experiment_id, run_name=f"{directory.absolute().name}/{stage}"
        ).info.run_id
        for key, value in _flat(settings):
            self._client.log_param(self._id, key, str(value)[:500])

    def log(self, step: int, values: Mapping[str, float], split: str) -> None:
        """Send the numbers of a step."""
        for name, value in values.items():
            self._client.log_metric(self._id, f"{split}/{name}", float(value), step=step)

    def close(self) -> None:
        """Mark the run as finished."""
        self._client.set_terminated(self._id)


def _flat(settings: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    found = []
    for name, value in settings.items():
        found += _flat(value, f"{before}{name}.") if isinstance(value, Mapping) else [(f"{before}{name}", value)]
    return found
