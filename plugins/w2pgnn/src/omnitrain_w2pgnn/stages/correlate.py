"""Stage `w2pgnn/correlate`: feasibility, its variants and cheap baselines against what pre-training really gained."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from omnitrain.api import Evaluation, Metric, Run, Scatter, Table, bootstrap_metric
from omnitrain.engine import reads_data
from omnitrain.errors import DataError
from omnitrain_w2pgnn.configs.stages import CorrelateConfig, EstimatorConfig
from omnitrain_w2pgnn.graphs.structure import join
from omnitrain_w2pgnn.paper.baselines import BASELINES, joined, summarise
from omnitrain_w2pgnn.stages.coefficients import pearson, spearman
from omnitrain_w2pgnn.stages.pools import Pool, estimator_settings, graphon_of, graphons_of, make_fitter, read_pool
from omnitrain_w2pgnn.stages.transfer import Selection, best_scores, label, read_cells

# Selection to a number, higher for better: what a predictor gives for a target, and what was measured on it.
Predictions = dict[Selection, float]
Scores = dict[Selection, float]
COEFFICIENTS = {"pearson": pearson, "spearman": spearman}
FEASIBILITY, MEAN, INTEGRATED, SINGLE = "feasibility", "uniform mean", "integrated", "best single basis"


@reads_data
def correlate(config: CorrelateConfig, run: Run) -> None:
    """Compute every predictor for every measured selection, and correlate."""
    best = best_scores(read_cells(run.input(config.scores).path))
    pool = read_pool(config, run)
    missing = sorted(
        ({n for own in best.values() for s in own for n in s} - set(pool.samples)) | (set(best) - set(pool.targets))
    )
    if missing:
        raise DataError(
            f"{missing[0]!r} was measured but is not among candidates and targets here; name the same data as there."
        )
    predictions: dict[str, dict[str, Predictions]] = {}
    seconds: dict[str, float] = {}
    with run.progress("predictors", len(config.estimators) + 1) as bar:
        for name, estimator in config.estimators.items():
            started = time.perf_counter()
            found = _feasibilities(estimator, config, pool, best, run)
            seconds[name] = time.perf_counter() - started
            predictions |= {f"{kind} ({name})": own for kind, own in found.items()}
            bar.advance()
        predictions |= _baselines(pool, best)
        bar.advance()
    problems = sum(len([s for s in own if s]) for own in best.values())
    for number, (name, value) in enumerate(seconds.items()):
        run.timing(number, {f"feasibility_seconds ({name})": value, "feasibility_problems": problems})
    run.report("w2pgnn/correlate", correlation_evaluation(predictions, best, config, run.seed("bootstrap")))


def _feasibilities(
    estimator: EstimatorConfig, config: CorrelateConfig, pool: Pool, best: Mapping[str, Scores], run: Run
) -> dict[str, dict[str, Predictions]]:
    """Return kind to target to predictions of the fitted mixture, the plain mean, the integrated and the best single basis."""
    settings = estimator_settings(estimator, run.seed("estimator") % 2**31)
    names = list(pool.samples)
    graphons = np.stack(list(graphons_of(pool.samples, settings, config.fit).values()))
    selections = dict.fromkeys(s for own in best.values() for s in own if s)
    whole = {s: graphon_of(join([pool.samples[n] for n in s], s), settings, config.fit) for s in selections}
    kinds: dict[str, dict[str, Predictions]] = {}
    for target, measured in best.items():
        goal = graphon_of(pool.targets[target], settings, config.fit)
        fitter = make_fitter(config.fit, graphons, goal, run.seed("fit"))
        distances: dict[Selection, dict[str, float]] = {}
        for selection in filter(None, measured):
            members = [names.index(n) for n in selection]
            distances[selection] = {
                FEASIBILITY: fitter.fit(members).distance,
                MEAN: fitter.uniform(members).distance,
                INTEGRATED: make_fitter(config.fit, whole[selection][None], goal, run.seed("fit")).fit().distance,
                SINGLE: min(fitter.fit([m]).distance for m in members),
            }
        for kind in (FEASIBILITY, MEAN, INTEGRATED, SINGLE):
            kinds.setdefault(kind, {})[target] = {selection: -own[kind] for selection, own in distances.items()}
    return kinds


def _baselines(pool: Pool, best: Mapping[str, Scores]) -> dict[str, dict[str, Predictions]]:
    summaries = {name: summarise(graphs) for name, graphs in pool.samples.items()}
    goals = {name: summarise(pool.targets[name]) for name in best}
    return {
        name: {
            target: {s: -distance(joined([summaries[n] for n in s]), goals[target]) for s in measured if s}
            for target, measured in best.items()
        }
        for name, distance in BASELINES.items()
    }


def correlation_evaluation(
    predictions: Mapping[str, Mapping[str, Predictions]],
    best: Mapping[str, Scores],
    config: CorrelateConfig,
    seed: int,
) -> Evaluation:
    """Return correlations by predictor and target, the pick of each predictor beside all data, and scatter plots."""
    metrics: dict[str, Metric] = {}
    rows: list[list[Any]] = []
    for name, by_target in predictions.items():
        means: dict[str, list[float]] = {kind: [] for kind in COEFFICIENTS}
        for target, own in by_target.items():
            pairs = np.array([(value, best[target][s]) for s, value in own.items()], np.float64).reshape(-1, 2)
            cells: list[Any] = []
            for kind, coefficient in COEFFICIENTS.items():
                found = bootstrap_metric(
                    lambda rows, coefficient=coefficient: coefficient(rows[:, 0], rows[:, 1]),  # type: ignore[misc]
                    pairs,
                    "higher",
                    seed=seed,
                    draws=config.bootstraps,
                )
                metrics[f"{name}/{target}/{kind}"] = found
                means[kind].append(found.value)
                cells += [found.value, f"{found.interval[0]:.2f} to {found.interval[1]:.2f}" if found.interval else ""]
            rows.append([name, target, *cells, len(pairs)])
        averages = {kind: float(np.mean(values)) for kind, values in means.items()}
        metrics |= {f"{name}/mean/{kind}": Metric(value, len(by_target), "higher") for kind, value in averages.items()}
        rows.append([name, "mean over targets", averages["pearson"], "", averages["spearman"], "", len(by_target)])
    picked, tables = _picks(predictions, best)
    metrics |= picked
    columns = ("predictor", "target", "Pearson", "95 % interval", "Spearman", "95 % interval", "selections")
    caption = "Predictors against the best downstream score. Intervals: bootstrap over selections. The paper's: not available."
    first = f"{FEASIBILITY} ({next(iter(config.estimators))})"
    picture = Scatter(
        {target: [(value, best[target][s]) for s, value in own.items()] for target, own in predictions[first].items()},
        first,
        "best downstream score",
        "A point is a selection; colours are targets.",
        {target: [label(s) for s in own] for target, own in predictions[first].items()},
    )
    tables = {"correlations": Table(columns, rows, caption), **tables}
    return Evaluation(metrics, tables, figures={"feasibility and gains": picture})


def _picks(
    predictions: Mapping[str, Mapping[str, Predictions]], best: Mapping[str, Scores]
) -> tuple[dict[str, Metric], dict[str, Table]]:
    """What pre-training on each predictor's pick scores, beside all data, a random selection of that size, and none."""
    rows, metrics = [], {}
    gains: dict[str, list[float]] = {}
    for target, measured in best.items():
        trained = {s: v for s, v in measured.items() if s}
        if not trained:
            continue
        largest = max(trained, key=len)
        others = {s: v for s, v in trained.items() if s != largest}
        if not others:
            continue
        size = max(len(s) for s in others)
        pickable = [s for s in others if len(s) == size]
        fixed = {"all data": trained[largest], "random": float(np.mean([trained[s] for s in pickable]))}
        if () in measured:
            fixed["untrained"] = measured[()]
        for name, value in fixed.items():
            rows.append([target, name, label(largest) if name == "all data" else "", value])
            gains.setdefault(name, []).append(value)
        for name, by_target in predictions.items():
            pick = max(pickable, key=lambda s, own=by_target[target]: own[s])  # type: ignore[misc]
            rows.append([target, name, label(pick), trained[pick]])
            gains.setdefault(name, []).append(trained[pick])
    for name, values in gains.items():
        metrics[f"picked by {name}"] = Metric(float(np.mean(values)), len(values), "higher")
        rows.append(["mean over targets", name, "", float(np.mean(values))])
    caption = "Best downstream score of the selection that each predictor picks, among those of one size."
    return metrics, {"selection": Table(("target", "picked by", "selection", "score"), rows, caption)}
