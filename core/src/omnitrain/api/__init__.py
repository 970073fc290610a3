"""Everything that authors of plugins import. Importing it loads neither torch nor pydantic.

`Config`, `Use` and its kinds need pydantic and are loaded on first access.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omnitrain.api.bench import Bar, Bench
from omnitrain.api.claims import Claim, Contrast, Looks, Published, Variant
from omnitrain.api.data import Batch, Data
from omnitrain.api.descriptors import Command, Component, Kind, Plugin, Recipe
from omnitrain.api.fields import Fields, misfits, parse_field
from omnitrain.api.figures import Drawn, Figure, Heatmap, ImageGrid, Picture, Piece, Scatter, Text
from omnitrain.api.finished import FinishedRun, FinishedStage
from omnitrain.api.hooks import hookimpl
from omnitrain.api.measures import (
    RatioMean,
    bootstrap_metric,
    mean_interval,
    mean_metric,
    ratio_metric,
    share_metric,
    wilson_interval,
)
from omnitrain.api.protocols import (
    BatchPlan,
    BatchStream,
    CarriesState,
    DrawsExamples,
    Evaluator,
    ExplainsBatches,
    FollowsModel,
    Gathers,
    Generates,
    GroupsParameters,
    NamesSaved,
    Objective,
    OrdersBatches,
    PlansStage,
    Prepares,
    SavesAssets,
    SavesItself,
    Scores,
    SplitsBatches,
    TellsArtifacts,
    TellsFacts,
    Weighs,
    numpy_generator,
)
from omnitrain.api.references import load_reference
from omnitrain.api.results import Auxiliary, Direction, Evaluation, Loss, Metric, Part, Sample, Table
from omnitrain.api.run import Artifact, Context, Ledger, Opened, Progress, Run
from omnitrain.api.trackers import OpensTracker, Tracker
from omnitrain.api.version import API_VERSION

if TYPE_CHECKING:
    from omnitrain.api.config import Config, Use, UseArtifact, UseData, UseEvaluator, UseModel, UseObjective

_NEED_PYDANTIC = ("Config", "Use", "UseArtifact", "UseData", "UseEvaluator", "UseModel", "UseObjective")

__all__ = [
    "API_VERSION",
    "Artifact",
    "Auxiliary",
    "Bar",
    "Batch",
    "BatchPlan",
    "BatchStream",
    "Bench",
    "CarriesState",
    "Claim",
    "Command",
    "Component",
    "Config",
    "Context",
    "Contrast",
    "Data",
    "Direction",
    "Drawn",
    "DrawsExamples",
    "Evaluation",
    "Evaluator",
    "ExplainsBatches",
    "Fields",
    "Figure",
    "FinishedRun",
    "FinishedStage",
    "FollowsModel",
    "Gathers",
    "Generates",
    "GroupsParameters",
    "Heatmap",
    "ImageGrid",
    "Kind",
    "Ledger",
    "Looks",
    "Loss",
    "Metric",
    "NamesSaved",
    "Objective",
    "Opened",
    "OpensTracker",
    "OrdersBatches",
    "Part",
    "Picture",
    "Piece",
    "PlansStage",
    "Plugin",
    "Prepares",
    "Progress",
    "Published",
    "RatioMean",
    "Recipe",
    "Run",
    "Sample",
    "SavesAssets",
    "SavesItself",
    "Scatter",
    "Scores",
    "SplitsBatches",
    "Table",
    "TellsArtifacts",
    "TellsFacts",
    "Text",
    "Tracker",
    "Use",
    "UseArtifact",
    "UseData",
    "UseEvaluator",
    "UseModel",
    "UseObjective",
    "Variant",
    "Weighs",
    "bootstrap_metric",
    "hookimpl",
    "load_reference",
    "mean_interval",
    "mean_metric",
    "misfits",
    "numpy_generator",
    "parse_field",
    "ratio_metric",
    "share_metric",
    "wilson_interval",
]


def __getattr__(name: str) -> Any:
    if name in _NEED_PYDANTIC:
        from omnitrain.api import config

        return getattr(config, name)
    raise AttributeError(f"module 'omnitrain.api' has no attribute {name!r}")
