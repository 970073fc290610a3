"""Everything that authors of plugins import. Importing it loads neither torch nor pydantic.

What a description needs is imported at once; all else, such as what evaluators return, on first access, since every command
imports the descriptions of all plugins.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from omnitrain.api.claims import Claim, Contrast, Looks, Published, Variant
from omnitrain.api.descriptors import Command, Component, Kind, Plugin, Recipe
from omnitrain.api.references import load_reference
from omnitrain.api.version import API_VERSION

if TYPE_CHECKING:
    from omnitrain.api.bench import Bar, Bench
    from omnitrain.api.config import Config, Use, UseArtifact, UseData, UseEvaluator, UseModel, UseObjective
    from omnitrain.api.data import Batch, Data
    from omnitrain.api.fields import Fields, misfits, parse_field
    from omnitrain.api.figures import Drawn, Figure, Heatmap, ImageGrid, Picture, Piece, Scatter, Text
    from omnitrain.api.finished import FinishedRun, FinishedStage
    from omnitrain.api.hooks import hookimpl
    from omnitrain.api.inputs import InputModule, InputPath, NotInput, TellsInputs
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
        ChecksData,
        ChecksMachine,
        ChecksModel,
        DrawsExamples,
        Evaluator,
        ExplainsBatches,
        ExtendsModel,
        Feed,
        FitsData,
        FollowsModel,
        Gathers,
        Generates,
        GroupsParameters,
        MakesFeed,
        MakesRounds,
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
        TellsNeeds,
        TellsOrder,
        TrainsOnly,
        Weighs,
        numpy_generator,
    )
    from omnitrain.api.results import Auxiliary, Direction, Evaluation, Loss, Metric, Part, Sample, Table
    from omnitrain.api.run import Artifact, Context, Ledger, Opened, Progress, Run
    from omnitrain.api.trackers import OpensTracker, Tracker
    from omnitrain.api.userfiles import read_text, reading, shown, text_lines, user_path

_MODULES = {
    "bench": ("Bar", "Bench"),
    "config": ("Config", "Use", "UseArtifact", "UseData", "UseEvaluator", "UseModel", "UseObjective"),
    "data": ("Batch", "Data"),
    "fields": ("Fields", "misfits", "parse_field"),
    "figures": ("Drawn", "Figure", "Heatmap", "ImageGrid", "Picture", "Piece", "Scatter", "Text"),
    "finished": ("FinishedRun", "FinishedStage"),
    "hooks": ("hookimpl",),
    "inputs": ("InputModule", "InputPath", "NotInput", "TellsInputs"),
    "measures": (
        "RatioMean",
        "bootstrap_metric",
        "mean_interval",
        "mean_metric",
        "ratio_metric",
        "share_metric",
        "wilson_interval",
    ),
    "protocols": (
        "BatchPlan",
        "BatchStream",
        "CarriesState",
        "ChecksData",
        "ChecksMachine",
        "ChecksModel",
        "DrawsExamples",
        "Evaluator",
        "ExplainsBatches",
        "ExtendsModel",
        "Feed",
        "FitsData",
        "FollowsModel",
        "Gathers",
        "Generates",
        "GroupsParameters",
        "MakesFeed",
        "MakesRounds",
        "NamesSaved",
        "Objective",
        "OrdersBatches",
        "PlansStage",
        "Prepares",
        "SavesAssets",
        "SavesItself",
        "Scores",
        "SplitsBatches",
        "TellsArtifacts",
        "TellsFacts",
        "TellsNeeds",
        "TellsOrder",
        "TrainsOnly",
        "Weighs",
        "numpy_generator",
    ),
    "results": ("Auxiliary", "Direction", "Evaluation", "Loss", "Metric", "Part", "Sample", "Table"),
    "run": ("Artifact", "Context", "Ledger", "Opened", "Progress", "Run"),
    "trackers": ("OpensTracker", "Tracker"),
    "userfiles": ("read_text", "reading", "shown", "text_lines", "user_path"),
}
_HOME = {name: f"omnitrain.api.{module}" for module, names in _MODULES.items() for name in names}

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
    "ChecksData",
    "ChecksMachine",
    "ChecksModel",
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
    "ExtendsModel",
    "Feed",
    "Fields",
    "Figure",
    "FinishedRun",
    "FinishedStage",
    "FitsData",
    "FollowsModel",
    "Gathers",
    "Generates",
    "GroupsParameters",
    "Heatmap",
    "ImageGrid",
    "InputModule",
    "InputPath",
    "Kind",
    "Ledger",
    "Looks",
    "Loss",
    "MakesFeed",
    "MakesRounds",
    "Metric",
    "NamesSaved",
    "NotInput",
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
    "TellsInputs",
    "TellsNeeds",
    "TellsOrder",
    "Text",
    "Tracker",
    "TrainsOnly",
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
    "read_text",
    "reading",
    "share_metric",
    "shown",
    "text_lines",
    "user_path",
    "wilson_interval",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'omnitrain.api' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value
