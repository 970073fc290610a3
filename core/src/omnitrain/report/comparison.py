"""Several runs side by side: settings that differ, final metrics, curves of the same metric in one drawing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omnitrain import __version__
from omnitrain.errors import OmnitrainError
from omnitrain.report.curves import chart, legend
from omnitrain.report.drawing import Chart, figures
from omnitrain.report.rendering import render_page
from omnitrain.report.summary import summarise
from omnitrain.runs import RunDirectory
from omnitrain.runs.files import write_whole
from omnitrain.runs.stored import StoredRun

# Of figures of one name; a page of more takes long to open.
MOST_FIGURES = 40
_NO_METRIC = ("stage", "step", "split")


def compare_runs(folders: Sequence[RunDirectory]) -> dict[str, Any]:
    """Return {runs, settings, metrics, curves, problems} of at least two runs.

    settings: [{key, values}] of those that differ, metrics: [{stage, metric, values}], curves: [{stage, metric, series}];
    values and series by the run's name, a run without them is left out. problems: a sentence on all that is damaged.
    Raises EnvironmentFault when fewer than two of the folders are runs that can be read.
    """
    stored, damaged = _opened([folder.root for folder in folders])
    named = dict(zip(run_names([run.root for run in stored]), stored, strict=True))
    summaries = {name: summarise(run) for name, run in named.items()}
    return {
        "runs": [_head(name, named[name], summary) for name, summary in summaries.items()],
        "settings": _settings({name: run.record["recipe"] for name, run in named.items()}),
        "metrics": _metrics(summaries),
        "curves": _curves({name: run.metrics() for name, run in named.items()}),
        "problems": [*damaged, *(said for summary in summaries.values() for said in summary["problems"])],
    }


def _opened(roots: Sequence[Path]) -> tuple[list[StoredRun], list[str]]:
    """Return the runs that can be read, and a sentence on each that can't.

    Raises EnvironmentFault when fewer than two are left.
    """
    stored: list[StoredRun] = []
    problems: list[OmnitrainError] = []
    for root in roots:
        try:
            stored.append(StoredRun(root))
        except OmnitrainError as error:
            problems.append(error)
    if problems and len(stored) < 2:
        raise problems[0]
    return stored, [f"{error} It is left out." for error in problems]


def run_names(roots: Sequence[Path]) -> list[str]:
    """Return the shortest ends of the paths that tell all runs apart."""
    parts = [root.resolve().parts for root in roots]
    for length in range(1, max(len(p) for p in parts) + 1):
        names = ["/".join(p[-length:]) for p in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{root} ({i + 1})" for i, root in enumerate(roots)]


def _head(name: str, run: StoredRun, summary: Mapping[str, Any]) -> dict[str, Any]:
    seconds = round(sum(stage["seconds"] for stage in summary["stages"]), 3)
    shown = {key: summary[key] for key in ("recipe", "status", "created")}
    return {"name": name, "out": str(run.root), **shown, "seconds": seconds}


def _settings(recipes: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the settings whose values differ, stages by name; a setting that a run doesn't have differs too."""
    leaves = {name: dict(_recipe_leaves(recipe)) for name, recipe in recipes.items()}
    keys = dict.fromkeys(key for found in leaves.values() for key in found)
    differing = []
    for key in keys:
        values = {name: found[key] for name, found in leaves.items() if key in found}
        first = next(iter(values.values()))
        if len(values) < len(leaves) or any(value != first or type(value) is not type(first) for value in values.values()):
            differing.append({"key": key, "values": values})
    return differing


def _recipe_leaves(recipe: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "seed", recipe.get("seed", 0)
    for stage in recipe["stages"]:
        yield from _leaves({k: v for k, v in stage.items() if k != "name"}, stage["name"])


def _leaves(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None or not value:
        yield key, value
        return
    for name, item in items:
        yield from _leaves(item, f"{key}.{name}")


def _metrics(summaries: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, float]] = {}
    for name, summary in summaries.items():
        for stage in summary["stages"]:
            for metric, value in stage["metrics"].items():
                found.setdefault((stage["name"], metric), {})[name] = value
    return [{"stage": stage, "metric": metric, "values": values} for (stage, metric), values in found.items()]


def _curves(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Return the metrics that some run measured at two steps or more, by stage, split and name."""
    found: dict[tuple[str, str], dict[str, list[tuple[float, float]]]] = {}
    for name, lines in rows.items():
        for row in lines:
            for key, value in row.items():
                if key not in _NO_METRIC and isinstance(value, (int, float)) and not isinstance(value, bool):
                    series = found.setdefault((row["stage"], f"{row.get('split', '')}/{key}"), {})
                    series.setdefault(name, []).append((float(row["step"]), float(value)))
    return [
        {"stage": stage, "metric": metric, "series": series}
        for (stage, metric), series in found.items()
        if any(len(points) > 1 for points in series.values())
    ]


def write_comparison(path: Path, content: Mapping[str, Any]) -> None:
    """Write the page of a comparison. content: what `compare_runs` gives.

    Raises EnvironmentFault when the file can't be written.
    """
    names = [run["name"] for run in content["runs"]]
    charts: dict[str, list[Chart]] = {}
    for curve in content["curves"]:
        # Every run keeps its colour, also in a drawing that lacks some of them.
        series = {name: curve["series"].get(name, []) for name in names}
        charts.setdefault(curve["stage"], []).append(Chart(curve["metric"], chart(series, "step", ""), legend(names)))
    shown = _figures(content["runs"])
    page = render_page("comparison.html.jinja", names=names, charts=charts, figures=shown, version=__version__, **content)
    write_whole(path, page)


def _figures(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return {stage, evaluation, name, charts} of the figures that runs hold, those of one name together, titled by run."""
    found: dict[tuple[str, str, str], list[Chart]] = {}
    for run in runs:
        stored = StoredRun(Path(run["out"]))
        for stage in stored.stages:
            for evaluation in stored.evaluations(stage):
                for drawn in figures(evaluation, stored.evaluation_folder(stage)):
                    group = found.setdefault((stage, evaluation["name"], drawn.title), [])
                    group.append(replace(drawn, title=run["name"]))
    keys = ("stage", "evaluation", "name", "charts")
    return [dict(zip(keys, (*key, charts), strict=True)) for key, charts in list(found.items())[:MOST_FIGURES]]
